"""Steps 9 and 10: a registered product with its certificate, a revocation mid-stream, the verified audit export."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from ops.demo.load import City
from ops.demo.record import Step
from ops.demo.story.apply import Customer
from ops.demo.story.leaks import REGISTER
from ops.stack import Home


def _content(today: str) -> dict[str, Any]:
    return {
        "kind": "product", "title": "企业登记信息核验服务",
        "summary": "依据授权运营协议，对企业登记状态与法定代表人进行核验，返回是否一致，不输出原始数据。",
        "domain": "市场监督", "region": "示范市", "time_range": "1996 年至今", "update_cycle": "每日",
        "scale": "20 万户", "format": "服务接口", "grade": "general-2", "has_personal_info": False,
        "restrictions": "仅限授权用途，不得转授权", "dataset_names": [REGISTER],
        "contact_name": "马营", "contact_phone": "0512-12000004",
        "source": {"mode": "agreement", "basis": "公共数据资源授权运营协议第三条"},
        "evidence": {"provider": "示范市存证服务中心", "number": "CZ-2026-0001", "algorithm": "SHA-256",
                     "digest": hashlib.sha256(REGISTER.encode()).hexdigest(), "deposited_on": today},
        "product": {"category": "industry", "form": "verification", "agreement_number": "XY-2026-001"},
        "scenario": {"name": "贷前核验", "description": "金融机构在贷款发放前核验企业登记信息"},
        "security": {"assessed_on": today, "conclusion": "low", "measures": "访问控制、脱敏、日志留存、最小必要"},
        "business_review": {"reviewer": "合规部", "reviewed_on": today, "opinion": "材料齐全，同意登记"},
    }


def register_product(city: City, step: Step, home: Home) -> None:
    """Step 9."""
    operator, registrar, system = (city.people[name] for name in ("yunying-ma", "dengji-fang", "xitong-wu"))
    step.by(operator.name, registrar.name, "anonymous")
    today = system.get("/v1/health")["now"][:10]
    item = operator.post("/v1/registrations", {
        "party_id": city.parties["operator"], "content": _content(today), "submit": True,
    })
    step.check(item["clock"]["step"] == "acceptance", "受理期限开始计算")
    item = registrar.step("registrations", registrar.get(f"/v1/registrations/{item['id']}"), "accept")
    item = registrar.step("registrations", item, "pass_review")
    notices = city.public.get("/v1/notices")["items"]
    step.check(any(one["id"] == item["id"] for one in notices), "公示期内公众可见")
    step.see(f"{city.site}/notices", "公示")
    for _ in range(60):
        if system.get("/v1/health")["now"][:10] > item["notice_until"]:
            break
        system.post("/v1/demo/clock", {"days": 1})
    system.post("/v1/demo/clock", {"days": 1})
    item = registrar.step("registrations", item, "assign_code")
    code = item["code"]
    step.figure("code", code)
    page = f"{city.site}/verify/{code}"
    step.see(page, "公开查验（二维码地址）")
    drawing = city.public.send("GET", f"/v1/certificates/{code}.svg")
    step.check(drawing.status_code == 200 and "<svg" in drawing.text, "凭证二维码可取")
    shown = city.public.get(f"/v1/certificates/{code}")
    step.check(shown["valid"] and shown["title"] == "企业登记信息核验服务", "扫码地址显示有效")
    verified = city.public.send("GET", f"/verify/{code}")
    step.check(verified.status_code == 200 and "企业登记信息核验服务" in verified.text, "查验页面可打开")
    step.check(city.public.send("GET", f"/v1/certificates/{code}.pdf").content.startswith(b"%PDF"), "PDF 凭证可下载")
    _verify_offline(city, step, home, code)


def _verify_offline(city: City, step: Step, home: Home, code: str) -> None:
    folder = home.path / "demo"
    token = city.public.send("GET", f"/v1/certificates/{code}.jws").text.strip()
    key = _public_key(city, home)
    file = folder / "certificate.jws"
    file.write_text(token, encoding="ascii")
    step.check(_run("certificate", "verify", str(file), "--key", str(key)) == 0, "凭证离线校验通过")
    place = len(token) // 2
    changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    file.write_text(changed, encoding="ascii")
    step.check(_run("certificate", "verify", str(file), "--key", str(key)) == 1, "改动一个字节后离线校验不通过")
    answer = city.public.send("POST", "/v1/certificates/verify", json={"jws": changed})
    step.check(answer.status_code == 422, "改动一个字节后在线校验不通过")


def _public_key(city: City, home: Home) -> Path:
    key = home.path / "demo" / "public.pem"
    key.write_text(city.public.send("GET", "/v1/audit/key").text, encoding="ascii")
    return key


def _run(*arguments: str) -> int:
    return subprocess.run(
        [sys.executable, "-P", "-m", "ops.cli", *arguments], capture_output=True, timeout=60, check=False
    ).returncode


def revoke_while_running(city: City, step: Step, customer: Customer) -> None:
    """Step 10, first half: the running stream stops, the next call is refused."""
    owner = city.people[customer.owner]
    step.by(owner.name, customer.person.name)
    address = f"/data/v1/{city.resources[customer.register]}"
    headers = {"Authorization": f"Bearer {customer.key}", "Accept-Language": "zh"}
    params = {"format": "jsonl", "purpose": customer.purpose}
    program = httpx.Client(base_url=city.site, timeout=30, trust_env=False)
    received, stopped, elapsed = 0, False, 0.0
    try:
        with program.stream("GET", address, params=params, headers=headers) as answer:
            step.check(answer.status_code == 200, f"下载开始（{answer.status_code}）")
            pieces = answer.iter_raw(chunk_size=2_048)
            received += len(next(pieces))
            grant = owner.get(f"/v1/grants/{customer.grant['id']}")
            owner.step("grants", grant, "revoke", reason="未按约定用途使用")
            began = time.monotonic()
            for piece in pieces:
                received += len(piece)
            elapsed = time.monotonic() - began
    except httpx.HTTPError:
        stopped, elapsed = True, time.monotonic() - began
    step.figure("bytes_before_stop", received)
    step.figures["seconds_to_stop"] = round(elapsed, 2)
    step.check(stopped, "撤销后正在进行的下载中断")
    step.check(elapsed < 3, f"中断在撤销后 {elapsed:.2f} 秒内发生")
    again = program.get(address, params={"purpose": customer.purpose}, headers=headers)
    document = again.json()
    step.check(again.status_code in (401, 403), f"下一次调用被拒绝（{again.status_code} {document.get('code')}）")
    step.check(document.get("next"), f"说明下一步：{document.get('next')}")


def verify_audit(city: City, step: Step, home: Home) -> None:
    """Step 10, second half: the export of everything verifies offline, and not after a change."""
    auditor = city.people["shenji-zheng"]
    step.by(auditor.name)
    folder = home.path / "demo"
    token, target, key = folder / "auditor.token", folder / "audit.jsonl", _public_key(city, home)
    token.touch(0o600)
    token.write_text(str(auditor.token), encoding="ascii")
    done = _run("audit", "export", str(target), "--site", city.site, "--token-file", str(token))
    token.unlink()
    step.check(done == 0, "审计日志导出")
    step.check(_run("audit", "verify", str(target), "--key", str(key)) == 0, "审计导出离线校验通过")
    lines = target.read_text(encoding="utf-8").splitlines()
    step.figure("audit_entries", len(lines) - 2)
    actions = {kind for line in lines[1:-1] for kind in _actions(line)}
    for kind in ("application", "agreement", "grant", "invoice", "payment", "settlement", "registration", "dataset",
                 "party", "role"):
        step.check(kind in actions, f"审计日志包含 {kind}")
    changed = folder / "audit-changed.jsonl"
    changed.write_text(target.read_text(encoding="utf-8").replace("grant.revoked", "grant.resumed"), encoding="utf-8")
    step.check(_run("audit", "verify", str(changed), "--key", str(key)) == 1, "改动一条记录后校验不通过")
    step.see(f"{city.site}/v1/audit/checkpoint", "当前检查点")


def _actions(line: str) -> set[str]:
    import json

    return {str(json.loads(json.loads(line)["leaf"]).get("action", "")).split(".")[0]}


