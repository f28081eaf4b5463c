# The things one does with a checkout; each is a cargo xtask command underneath.
.PHONY: demo test soak bench up down

demo:
	scripts/setup.sh
	cargo xtask demo

test:
	scripts/setup.sh
	cargo xtask test

# All places and plans of which `make test` tries another part each run.
soak:
	scripts/setup.sh
	LIMPID_SOAK=1 cargo xtask test

bench:
	scripts/setup.sh bench
	cargo xtask bench

up:
	scripts/setup.sh
	cargo xtask stack up

down:
	cargo xtask stack down
