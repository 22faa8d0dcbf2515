/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cpuid says in the machine: what it says here (so that programs see the same processor on
 * every platform), less what KVM cannot give. Surprising: the number of the cpu is left out, for a
 * program may run on any.
 */
#include "platform/kvm/internal.h"
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define ENTRIES_MAX 256u
#define HYPERVISOR_BIT (1u << 31)
#define LEAF_HYPERVISOR 0x40000000u
#define OSXSAVE_BIT (1u << 27)

static struct kvm_cpuid_entry2 native(u32 function, u32 index)
{
    struct kvm_cpuid_entry2 entry = {.function = function, .index = index};
    __cpuid_count(function, index, entry.eax, entry.ebx, entry.ecx, entry.edx);
    return entry;
}

bool cpuid_is_emulated(void)
{
    if (!(native(1, 0).ecx & HYPERVISOR_BIT))
        return false;
    struct kvm_cpuid_entry2 entry = native(LEAF_HYPERVISOR, 0);
    return memcmp(&entry.ebx, "TCGTCGTCGTCG", 12) == 0;
}

/* Feature bits: what both have. */
static void entry_meet(struct kvm_cpuid_entry2 *entry, const struct kvm_cpuid_entry2 *here)
{
    entry->eax &= here->eax;
    entry->ebx &= here->ebx;
    entry->ecx &= here->ecx;
    entry->edx &= here->edx;
}

static void entry_copy(struct kvm_cpuid_entry2 *entry, const struct kvm_cpuid_entry2 *here)
{
    entry->eax = here->eax;
    entry->ebx = here->ebx;
    entry->ecx = here->ecx;
    entry->edx = here->edx;
}

static void entry_adjust(const struct kvm_platform *platform, struct kvm_cpuid_entry2 *entry)
{
    struct kvm_cpuid_entry2 here = native(entry->function, entry->index);
    switch (entry->function) {
    case 0:
    case 2:
    case 4:
    case 0x15:
    case 0x16:
    case 0x80000000:
    case 0x80000002 ... 0x80000006:
    case 0x8000001d:
        entry_copy(entry, &here);
        return;
    case 1:
        entry->eax = here.eax;
        entry->ebx = here.ebx & 0x00ffffff;
        entry->ecx = (entry->ecx & here.ecx) | (here.ecx & HYPERVISOR_BIT) | OSXSAVE_BIT;
        entry->edx &= here.edx;
        return;
    case 7:
        if (entry->index == 0)
            here.eax = entry->eax;
        entry_meet(entry, &here);
        return;
    case 0xb:
    case 0x1f:
        entry_copy(entry, &here);
        entry->edx = 0;
        return;
    case 0xd:
        if (entry->index == 0) {
            entry->eax &= (u32)platform->xcr0;
            entry->edx = 0;
        } else if (entry->index == 1) {
            entry_meet(entry, &here);
        }
        return;
    case 0x80000001:
        entry->eax = here.eax;
        entry->ebx = here.ebx;
        entry->ecx &= here.ecx;
        entry->edx &= here.edx;
        return;
    case 0x80000008:
        entry->ebx &= here.ebx;
        entry->ecx = here.ecx;
        return;
    default:
        entry_meet(entry, &here);
    }
}

static bool is_wanted(const struct kvm_platform *platform, const struct kvm_cpuid_entry2 *entry)
{
    if (entry->function >= LEAF_HYPERVISOR && entry->function < 0x80000000)
        return false;
    if (entry->function == 0xd && entry->index >= 2)
        return entry->index < 64 && (platform->xcr0 >> entry->index & 1);
    return true;
}

int vcpu_set_cpuid(const struct kvm_platform *platform, int vcpu)
{
    size_t size = sizeof(struct kvm_cpuid2) + ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2);
    struct kvm_cpuid2 *table = calloc(1, size);
    if (table == NULL)
        return -ENOMEM;
    table->nent = ENTRIES_MAX - 1; /* one more may be added */
    int err = ioctl(platform->device, KVM_GET_SUPPORTED_CPUID, table) == 0 ? 0 : -errno;
    if (err == 0) {
        u32 count = 0;
        for (u32 i = 0; i < table->nent; i++) {
            if (!is_wanted(platform, &table->entries[i]))
                continue;
            table->entries[count] = table->entries[i];
            entry_adjust(platform, &table->entries[count++]);
        }
        if (native(1, 0).ecx & HYPERVISOR_BIT)
            table->entries[count++] = native(LEAF_HYPERVISOR, 0);
        table->nent = count;
        err = ioctl(vcpu, KVM_SET_CPUID2, table) == 0 ? 0 : -errno;
    }
    free(table);
    return err;
}
