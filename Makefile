# GovOpen. `make` alone shows what there is. Needs make and Python 3.11 or newer; everything else comes by pip.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
ARGS ?=
RUNTIME := ops/requirements/ckan.txt ops/requirements/govopen.txt
I18N := ckanext-govopen/ckanext/govopen/i18n/build.py

##@ 使用 / Use
.PHONY: demo up down status doctor
demo: install ## 演示城市与主流程；ARGS="--once --json FILE" / the demo city and its main job
	@$(BIN)/govopen demo $(ARGS)

up: install ## 启动（Ctrl-C 停止）；ARGS=--detach 在后台 / start, Ctrl-C stops
	@$(BIN)/govopen up $(ARGS)

down: ## 停止 / stop
	@if [ -x $(BIN)/govopen ]; then $(BIN)/govopen down; fi

status: install ## 各组件状态 / the state of every part
	@$(BIN)/govopen status $(ARGS)

doctor: install ## 检查问题 / find what is wrong
	@$(BIN)/govopen doctor $(ARGS)

##@ 开发 / Develop
.PHONY: install install-dev test leak-matrix test-slow test-kills test-policy test-search-kills test-ckan-full test-oracle fuzz-search lint bench translations clean
install: $(STAMP) translations ## 建立 .venv 并安装 / make .venv and install

install-dev: $(DEV_STAMP) translations ## 另装测试与检查工具 / also the tools for tests and lint

test: install-dev ## 全部测试；ARGS="tests/stack -k up" 只跑一部分 / all tests
	@$(BIN)/python -m ops.stack.testrun $(ARGS)

test-slow: install-dev ## 慢测试 / the slow tests
	@$(BIN)/python -m ops.stack.testrun --slow $(ARGS)

leak-matrix: install-dev ## 泄露矩阵：所有接口、页面 × 访问者 × 开放属性，附计数 / every route and page by every viewer, with counts
	@GOVOPEN_LEAK_FULL=1 $(BIN)/python -m ops.stack.testrun tests/leaks tests/ckanext/leaks $(ARGS)

test-oracle: install-dev ## 搜索结果与 Solr 9 对照，需要 Java；ARGS=5000 问题数 / the search's answers against Solr 9, needs Java
	@GOVOPEN_TEST_ORACLE="$(or $(ARGS),3000)" $(BIN)/python -m pytest -q -s -p no:ckan -p no:ckan_fixtures tests/search/test_oracle.py

fuzz-search: install-dev ## 搜索服务模糊测试；ARGS="--minutes 10" / hostile requests to the search service
	@$(BIN)/python -m ops.search.fuzz --guided $(ARGS)

test-kills: install-dev ## 随机杀死服务、数据库与客户端；ARGS="--kills 300 --seed N" / kills at random points under load
	@$(BIN)/python tests/delivery/kills/kill_harness.py $(ARGS)

test-ckan-full: install-dev ## CKAN 自己的检索测试全部（需 git）/ CKAN's own tests that judge search; a clone or GOVOPEN_CKAN_SOURCE
	@$(BIN)/python tests/search_ckan/score.py $(ARGS)

test-search-kills: install-dev ## 检索服务 300 次断电 / 300 kills of the search service
	@GOVOPEN_SEARCH_KILLS=300 GOVOPEN_SEARCH_MANY_KILLS=100 $(BIN)/python -m pytest -q -s -p no:ckan -p no:ckan_fixtures tests/search/test_kills.py tests/search/test_many.py

test-policy: install-dev ## 策略引擎、角色索引、脱敏与接口的长测试；ARGS=60000 问题数 / engines, roles, masks and the described interface at length
	@GOVOPEN_POLICY_EXAMPLES="$(or $(ARGS),20000)" GOVOPEN_MASK_EXAMPLES=300 GOVOPEN_API_EXAMPLES=120 GOVOPEN_ANALYSIS_QUERIES_DAY=100000 $(BIN)/python -m pytest -q -s -p no:ckan -p no:ckan_fixtures tests/authz/test_engines_agree.py tests/authz/test_roles.py tests/authz/test_masks_reveal_nothing.py tests/authz/test_described.py tests/analysis/test_masks_everywhere.py

lint: install-dev ## ruff、mypy、import-linter、策略检查 / and the policies
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -c "import sys; from authz.pdp.lint import main; sys.exit(main())"

bench: install ## 基准；ARGS="setup --json FILE" / benchmarks
	@$(BIN)/govopen bench $(ARGS)

translations: $(STAMP) ## 合并并编译翻译 / merge and compile translations
	@if [ -f $(I18N) ]; then $(BIN)/python $(I18N); fi

clean: down ## 删除 .venv 与缓存，保留数据 / remove .venv and caches, keep data
	@if [ -e "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## 显示本页 / show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo

# A file says that everything is installed: it is newer than every list it was installed from.
$(STAMP): setup.py ops/install.sh $(RUNTIME)
	@bash ops/install.sh $(VENV) $(RUNTIME)
	@touch $@

$(DEV_STAMP): $(STAMP) ops/requirements/dev.txt
	@bash ops/install.sh $(VENV) $(RUNTIME) ops/requirements/dev.txt
	@touch $@
