# SPDX-License-Identifier: Apache-2.0
# make sim [SIM_PLATFORMS=script,ptrace,...]: explores EXPLORE_STEPS control calls; then plays
# every scenario of sim/scenarios on each platform, as a twin, and with checkpoints inserted.
# Each served method of spec/rpc.yaml must succeed and be refused in some scenario.
# All that are built, script first; one that does not work on the machine is skipped.
SIM_PLATFORMS ?= $(shell sed -n 's/^PLATFORM(\(.*\))/\1/p' src/platform/platforms.def | sort -r | paste -sd,)
EXPLORE_STEPS ?= 20000
# Every SWEEP_EVERY-th host call and allocation of some scenarios fails once, and from there on.
SWEEP_EVERY ?= 97
SWEEP := lifecycle exec subcontainer checkpoint-restore fs-receiver
# Each scenario under so many seeds, each with cpus and faults of its own.
SWARM_RUNS ?= 3
.PHONY: sim
sim: $(O)/picket-sim
	$(O)/picket-sim explore --steps $(EXPLORE_STEPS) --out $(O)/explored.yaml
	$(O)/picket-sim sweep --every $(SWEEP_EVERY) $(SWEEP:%=sim/scenarios/%.yaml)
	$(O)/picket-sim swarm --runs $(SWARM_RUNS) $(sort $(wildcard sim/scenarios/*.yaml))
	python3 tests/sim_tools.py $(O)/picket-sim $(SWEEP:%=sim/scenarios/%.yaml)
	$(O)/picket-sim run --no-twin --checkpoint-every 1 --platform script $(sort $(wildcard sim/scenarios/*.yaml))
	$(O)/picket-sim run --no-twin --checkpoint-every 1 --platform ptrace $(sort $(wildcard sim/scenarios/*.yaml))
	$(O)/picket-sim run --methods spec/rpc.yaml --checkpoint-everywhere --platform $(SIM_PLATFORMS) $(sort $(wildcard sim/scenarios/*.yaml))
