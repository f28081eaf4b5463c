# The five things one does with a checkout; each is a cargo xtask command underneath.
.PHONY: demo test bench up down

demo:
	scripts/setup.sh
	cargo xtask demo

test:
	scripts/setup.sh
	cargo xtask test

bench:
	scripts/setup.sh bench
	cargo xtask bench

up:
	scripts/setup.sh
	cargo xtask stack up

down:
	cargo xtask stack down
