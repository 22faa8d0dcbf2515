# SPDX-License-Identifier: Apache-2.0
# make sim [SIM_PLATFORMS=script,ptrace]: plays every scenario of sim/scenarios on each platform and once more as a twin.
SIM_PLATFORMS ?= script,ptrace
.PHONY: sim
sim: $(O)/picket-sim
	$(O)/picket-sim run --platform $(SIM_PLATFORMS) $(sort $(wildcard sim/scenarios/*.yaml))
