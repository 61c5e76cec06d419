/*
 * kvm_irqchip.c - the kernel's interrupt controllers (--kvm-irqchip).
 *
 *     off    all of them are devices/'s
 *     split  the local APIC is the kernel's
 *     full   the 8259s and the I/O APIC are, too; the interval timer isn't
 *
 * They are on loan (core/irqchip.h) between kvm_chips_take() and kvm_chips_home(), which is while the thread
 * is in kvm_run() and the kernel has the processor's state. So engines, monitor, reset and pause know
 * devices/'s models only.
 *
 * While they are away, messages to local APICs go in by KVM_SIGNAL_MSI. The kernel numbers interrupt lines as
 * GSIs; here 0 to 23 are the I/O APIC's inputs and 24 to 39 the 8259s', as the machine has separate wires to
 * them. With split, the first 24 have the messages that the I/O APIC would send, by which the kernel knows
 * which vectors' ends to report.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_internal.h"

#define PINS     IRQCHIP_IOAPIC_PINS
#define PIC_PINS 16
#define PIC_GSI  PINS /* of its first input */

/* --- What comes from devices while they are away
 * ---------------------------------------------------------------- */

static bool send_message(void *opaque, uint32_t address, uint32_t data)
{
    struct kvm *kvm = opaque;
    struct kvm_msi msi = {.address_lo = address, .data = data};

    return ioctl(kvm->vm, KVM_SIGNAL_MSI, &msi) > 0;
}

static void set_line(void *opaque, enum irqchip chip, unsigned n, bool level)
{
    struct kvm *kvm = opaque;
    struct kvm_irq_level line = {.irq = chip == IRQCHIP_PIC ? PIC_GSI + n : n, .level = level};

    if (ioctl(kvm->vm, KVM_IRQ_LINE, &line))
        kvm_fail(kvm, "KVM_IRQ_LINE: %s", strerror(errno));
}

static void entries_changed(void *opaque)
{
    struct kvm *kvm = opaque;

    atomic_store(&kvm->routes_stale, true);
}

/* --- Routes
 * ----------------------------------------------------------------------------------------------------- */

struct routes { /* struct kvm_irq_routing with its entries */
    uint32_t count, flags;
    struct kvm_irq_routing_entry entry[PINS + PIC_PINS];
};
_Static_assert(offsetof(struct routes, entry) == offsetof(struct kvm_irq_routing, entries), "laid out alike");

/* Each input of each chip has a GSI of its own. */
static bool route_lines(struct kvm *kvm, char *why, size_t why_size)
{
    struct routes routes = {.count = PINS + PIC_PINS};

    for (unsigned n = 0; n < PINS + PIC_PINS; n++) {
        unsigned pin = n < PINS ? n : n - PIC_GSI;

        routes.entry[n] = (struct kvm_irq_routing_entry){
            .gsi = n,
            .type = KVM_IRQ_ROUTING_IRQCHIP,
            .u.irqchip = {.irqchip = n < PINS  ? KVM_IRQCHIP_IOAPIC
                                     : pin < 8 ? KVM_IRQCHIP_PIC_MASTER
                                               : KVM_IRQCHIP_PIC_SLAVE,
                          .pin = n < PINS ? pin : pin & 7},
        };
    }
    return KVM_IOCTL(kvm->vm, KVM_SET_GSI_ROUTING, &routes, why, why_size);
}

/* A redirection entry (82093AA) as the address and data of a message (SDM 3A 10.11), which has the same
 * fields. */
static struct kvm_irq_routing_msi message_of(uint64_t entry)
{
    return (struct kvm_irq_routing_msi){
        .address_lo = 0xfee00000 | (uint32_t)(entry >> 56) << 12 | (entry >> 11 & 1) << 2,
        .data = (uint32_t)(entry & 0x7ff) | (uint32_t)(entry >> 15 & 1) << 15 | 1u << 14,
    };
}

#define ENTRY_MASKED     (1ull << 16)
#define ENTRY_REMOTE_IRR (1ull << 14)

/* Only while an entry says something else than before, as it is slow. */
static bool route_messages(struct kvm *kvm)
{
    struct routes routes = {.count = PINS};
    struct ioapic_registers now;
    bool changed = false;

    kvm_lock(kvm);
    kvm->irqchips->ioapic_read(kvm->irqchips->ioapic, &now);
    kvm_unlock(kvm);
    for (unsigned n = 0; n < PINS; n++) {
        uint64_t entry = now.entry[n] & ~(ENTRY_REMOTE_IRR | ENTRY_MASKED);

        changed |= entry != kvm->msi_routes[n];
        kvm->msi_routes[n] = entry;
        routes.entry[n] =
            (struct kvm_irq_routing_entry){.gsi = n, .type = KVM_IRQ_ROUTING_MSI, .u.msi = message_of(entry)};
    }
    if (!changed || !ioctl(kvm->vm, KVM_SET_GSI_ROUTING, &routes))
        return true;
    kvm_fail(kvm, "KVM_SET_GSI_ROUTING: %s", strerror(errno));
    return false;
}

bool kvm_chips_route(struct kvm *kvm)
{
    if (kvm->chips != KVM_CHIPS_SPLIT || !atomic_exchange(&kvm->routes_stale, false))
        return true;
    return route_messages(kvm);
}

void kvm_chips_end_of_interrupt(struct kvm *kvm, uint8_t vector)
{
    kvm_lock(kvm);
    kvm->irqchips->end_of_interrupt(kvm->irqchips->apic_bus, vector);
    kvm_unlock(kvm);
}

/* --- The local APIC
 * ---------------------------------------------------------------------------------------------- */

/* Offsets in the page that KVM_GET_LAPIC and KVM_SET_LAPIC take, as in the manual's (SDM 3A table 10-1). */
enum {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_LDR = 0xd0,
    APIC_DFR = 0xe0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT = 0x320,
    APIC_INITIAL = 0x380,
    APIC_CURRENT = 0x390,
    APIC_DIVIDE = 0x3e0,
};

#define MSR_TSC_DEADLINE 0x6e0

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

static unsigned timer_mode(uint32_t lvt)
{
    return lvt >> 17 & 3;
}

static uint32_t page_get(const struct kvm_lapic_state *page, unsigned offset)
{
    uint32_t value;

    memcpy(&value, page->regs + offset, 4);
    return value;
}

static void page_put(struct kvm_lapic_state *page, unsigned offset, uint32_t value)
{
    memcpy(page->regs + offset, &value, 4);
}

static void apic_out(struct kvm *kvm, const struct apic_registers *apic, struct kvm_lapic_state *page)
{
    bool spent = timer_mode(apic->lvt[0]) == TIMER_ONE_SHOT && !apic->current;

    memset(page, 0, sizeof(*page));
    page_put(page, APIC_ID, apic->id << 24);
    page_put(page, APIC_TPR, apic->tpr);
    page_put(page, APIC_LDR, apic->ldr);
    page_put(page, APIC_DFR, apic->dfr);
    page_put(page, APIC_SVR, apic->svr);
    page_put(page, APIC_ESR, apic->esr);
    page_put(page, APIC_ICR, (uint32_t)apic->icr);
    page_put(page, APIC_ICR_HIGH, (uint32_t)(apic->icr >> 32));
    for (unsigned n = 0; n < 8; n++) {
        page_put(page, APIC_ISR + 16 * n, apic->isr[n]);
        page_put(page, APIC_TMR + 16 * n, apic->tmr[n]);
        page_put(page, APIC_IRR + 16 * n, apic->irr[n]);
    }
    for (unsigned n = 0; n < IRQCHIP_APIC_LVTS; n++)
        page_put(page, APIC_LVT + 16 * n, apic->lvt[n]);
    /* One that has fired would do so again there. */
    kvm->spent_initial = spent ? apic->initial : 0;
    page_put(page, APIC_INITIAL, spent ? 0 : apic->initial);
    page_put(page, APIC_CURRENT, apic->current);
    page_put(page, APIC_DIVIDE, apic->divide);
}

static void apic_in(const struct kvm *kvm, const struct kvm_lapic_state *page, struct apic_registers *apic)
{
    apic->tpr = page_get(page, APIC_TPR);
    apic->ldr = page_get(page, APIC_LDR) & 0xff000000;
    apic->dfr = page_get(page, APIC_DFR);
    apic->svr = page_get(page, APIC_SVR) & 0x1ff;
    apic->esr = page_get(page, APIC_ESR);
    apic->icr = (uint64_t)page_get(page, APIC_ICR_HIGH) << 32 | page_get(page, APIC_ICR);
    for (unsigned n = 0; n < 8; n++) {
        apic->isr[n] = page_get(page, APIC_ISR + 16 * n);
        apic->tmr[n] = page_get(page, APIC_TMR + 16 * n);
        apic->irr[n] = page_get(page, APIC_IRR + 16 * n);
    }
    for (unsigned n = 0; n < IRQCHIP_APIC_LVTS; n++)
        apic->lvt[n] = page_get(page, APIC_LVT + 16 * n);
    apic->divide = page_get(page, APIC_DIVIDE);
    apic->initial = page_get(page, APIC_INITIAL);
    apic->current = page_get(page, APIC_CURRENT);
    if (!apic->initial && timer_mode(apic->lvt[0]) == TIMER_ONE_SHOT)
        apic->initial = kvm->spent_initial;
}

static bool set_page(struct kvm *kvm, struct kvm_lapic_state *page)
{
    if (!ioctl(kvm->fd, KVM_SET_LAPIC, page))
        return true;
    kvm_fail(kvm, "KVM_SET_LAPIC: %s", strerror(errno));
    return false;
}

/*
 * The deadline goes in behind the registers, as it is kept in its timer's mode only, and the one before is
 * taken away first: it would fire meanwhile. A change to or from that mode clears the count that comes with
 * it; so then the registers are set twice.
 */
static bool apic_take(struct kvm *kvm, const struct apic_registers *apic)
{
    struct kvm_lapic_state page;
    bool by_deadline = timer_mode(apic->lvt[0]) == TIMER_TSC_DEADLINE;
    bool changes = by_deadline != kvm->by_deadline;

    apic_out(kvm, apic, &page);
    kvm_msr_set_one(kvm->fd, MSR_TSC_DEADLINE, 0);
    if (!set_page(kvm, &page) || (changes && !set_page(kvm, &page)))
        return false;
    kvm->by_deadline = by_deadline;
    if (by_deadline && apic->deadline)
        kvm_msr_set_one(kvm->fd, MSR_TSC_DEADLINE, apic->deadline);
    return true;
}

/* --- The way home: nothing may be left behind
 * -------------------------------------------------------------------- */

/*
 * What the kernel keeps beside registers, a timer that has fired or a vector of the 8259s, becomes a pending
 * interrupt when the guest is about to be entered. So that is done, with a signal waiting that keeps it from
 * being entered.
 */
static void flush_events(struct kvm *kvm)
{
    struct {
        uint32_t size;
        uint8_t set[8]; /* the kernel's sigset_t */
    } mask = {.size = 8};
    sigset_t kick, before, open;

    sigemptyset(&kick);
    sigaddset(&kick, KVM_KICK_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &kick, &before);
    open = before;
    sigdelset(&open, KVM_KICK_SIGNAL);
    memcpy(mask.set, &open, sizeof(mask.set));
    if (!ioctl(kvm->fd, KVM_SET_SIGNAL_MASK, &mask)) {
        pthread_kill(pthread_self(), KVM_KICK_SIGNAL);
        kvm_drain(kvm);
        ioctl(kvm->fd, KVM_SET_SIGNAL_MASK, NULL);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool get_page(struct kvm *kvm, struct kvm_lapic_state *page)
{
    if (!ioctl(kvm->fd, KVM_GET_LAPIC, page))
        return true;
    kvm_fail(kvm, "KVM_GET_LAPIC: %s", strerror(errno));
    return false;
}

/* Whether the timer may have fired between the two. */
static bool came_round(const struct kvm_lapic_state *before, const struct kvm_lapic_state *after)
{
    uint32_t was = page_get(before, APIC_CURRENT), is = page_get(after, APIC_CURRENT);

    return timer_mode(page_get(after, APIC_LVT)) != TIMER_TSC_DEADLINE && was && (!is || is > was);
}

static bool apic_home(struct kvm *kvm, struct apic_registers *apic)
{
    struct kvm_lapic_state before, page;
    struct kvm_sregs2 sregs;

    if (!get_page(kvm, &before))
        return false;
    for (unsigned tries = 0; tries < 4; tries++, before = page) {
        flush_events(kvm);
        if (!get_page(kvm, &page))
            return false;
        if (!came_round(&before, &page))
            break;
    }
    apic_in(kvm, &page, apic);
    if (ioctl(kvm->fd, KVM_GET_SREGS2, &sregs)) {
        kvm_fail(kvm, "KVM_GET_SREGS2: %s", strerror(errno));
        return false;
    }
    apic->base = sregs.apic_base;
    kvm->by_deadline = timer_mode(apic->lvt[0]) == TIMER_TSC_DEADLINE;
    if (!kvm->by_deadline || !kvm_msr_get_one(kvm->fd, MSR_TSC_DEADLINE, &apic->deadline))
        apic->deadline = 0;
    return true;
}

/* --- The chips of the board
 * -------------------------------------------------------------------------------------- */

static void pic_out(const struct pic_registers *from, bool second, struct kvm_pic_state *to)
{
    *to = (struct kvm_pic_state){
        .last_irr = from->line,
        .irr = from->irr,
        .imr = from->imr,
        .isr = from->isr,
        .priority_add = (from->lowest + 1) & 7,
        .irq_base = from->base,
        .read_reg_select = from->read_isr,
        .poll = from->poll,
        .special_mask = from->special_mask,
        .init_state = from->step ? (uint8_t)(from->step - 1) : 0,
        .auto_eoi = from->auto_eoi,
        .rotate_on_auto_eoi = from->rotate_on_aeoi,
        .special_fully_nested_mode = from->special_nested,
        .init4 = from->icw4_follows,
        .elcr = from->elcr,
        .elcr_mask = second ? 0xde : 0xf8,
    };
}

static void pic_in(const struct kvm_pic_state *from, struct pic_registers *to)
{
    *to = (struct pic_registers){
        .irr = from->irr,
        .isr = from->isr,
        .imr = from->imr,
        .elcr = from->elcr,
        .base = from->irq_base,
        .lowest = (from->priority_add + 7) & 7,
        .step = from->init_state ? (uint8_t)(from->init_state + 1) : 0,
        .icw4_follows = from->init4,
        .auto_eoi = from->auto_eoi,
        .rotate_on_aeoi = from->rotate_on_auto_eoi,
        .special_mask = from->special_mask,
        .special_nested = from->special_fully_nested_mode,
        .read_isr = from->read_reg_select,
        .poll = from->poll,
    };
}

static bool chip_ioctl(struct kvm *kvm, unsigned long request, const char *name, unsigned id,
                       struct kvm_irqchip *chip)
{
    chip->chip_id = id;
    if (!ioctl(kvm->vm, request, chip))
        return true;
    kvm_fail(kvm, "%s, chip %u: %s", name, id, strerror(errno));
    return false;
}

#define LEVELS(registers, pin) ((registers)->entry[pin] >> 15 & 1)

/*
 * First the lines, whose edges may leave requests in the old registers; those are then replaced. Of the I/O
 * APIC's lines the levels alone may still want service: an edge has had it, or was lost to a mask.
 */
static bool board_take(struct kvm *kvm, const struct ioapic_registers *ioapic,
                       const struct pic_registers pic[2])
{
    struct kvm_irqchip chip = {0};

    pic_out(&pic[0], false, &chip.chip.pic);
    if (!chip_ioctl(kvm, KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP", KVM_IRQCHIP_PIC_MASTER, &chip))
        return false;
    pic_out(&pic[1], true, &chip.chip.pic);
    if (!chip_ioctl(kvm, KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP", KVM_IRQCHIP_PIC_SLAVE, &chip))
        return false;
    memset(&chip, 0, sizeof(chip));
    chip.chip.ioapic.base_address = 0xfec00000;
    chip.chip.ioapic.ioregsel = ioapic->select;
    chip.chip.ioapic.id = ioapic->id;
    for (unsigned n = 0; n < PINS; n++) {
        chip.chip.ioapic.redirtbl[n].bits = ioapic->entry[n];
        if (LEVELS(ioapic, n))
            chip.chip.ioapic.irr |= ioapic->lines & 1u << n;
    }
    return chip_ioctl(kvm, KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP", KVM_IRQCHIP_IOAPIC, &chip);
}

static void drive_lines(struct kvm *kvm, const struct ioapic_registers *ioapic,
                        const struct pic_registers pic[2])
{
    for (unsigned n = 0; n < PINS; n++)
        set_line(kvm, IRQCHIP_IOAPIC, n, ioapic->lines >> n & 1);
    for (unsigned n = 0; n < PIC_PINS; n++)
        if (n != 2)
            set_line(kvm, IRQCHIP_PIC, n, pic[n >> 3].line >> (n & 7) & 1);
}

static bool board_home(struct kvm *kvm, struct ioapic_registers *ioapic, struct pic_registers pic[2])
{
    struct kvm_irqchip chip = {0};

    for (unsigned n = 0; n < 2; n++) {
        if (!chip_ioctl(kvm, KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP",
                        n ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, &chip))
            return false;
        pic_in(&chip.chip.pic, &pic[n]);
    }
    if (!chip_ioctl(kvm, KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP", KVM_IRQCHIP_IOAPIC, &chip))
        return false;
    ioapic->select = (uint8_t)chip.chip.ioapic.ioregsel;
    ioapic->id = (uint8_t)chip.chip.ioapic.id;
    for (unsigned n = 0; n < PINS; n++)
        ioapic->entry[n] = chip.chip.ioapic.redirtbl[n].bits;
    return true;
}

/* --- Both ways
 * --------------------------------------------------------------------------------------------------- */

bool kvm_chips_take(struct kvm *kvm)
{
    const struct intc *intc = &kvm->config.intc;
    struct apic_registers apic;
    struct ioapic_registers ioapic;
    struct pic_registers pic[2];
    bool full = kvm->chips == KVM_CHIPS_FULL, done;

    if (kvm->chips == KVM_CHIPS_OFF || kvm->has_chips)
        return true;
    kvm_lock(kvm);
    kvm->has_chips = true;
    if (full) {
        kvm->irqchips->ioapic_lend(kvm->irqchips->ioapic, &kvm->tenant, &ioapic);
        kvm->irqchips->pic_lend(kvm->irqchips->pic, &kvm->tenant, pic);
        drive_lines(kvm, &ioapic, pic);
    } else {
        kvm->irqchips->ioapic_watch(kvm->irqchips->ioapic, &kvm->tenant);
        atomic_store(&kvm->routes_stale, true);
    }
    intc->ops->lend(intc->opaque, &kvm->tenant, &apic);
    done = apic_take(kvm, &apic) && (!full || board_take(kvm, &ioapic, pic));
    kvm_unlock(kvm);
    return done;
}

bool kvm_chips_home(struct kvm *kvm)
{
    const struct intc *intc = &kvm->config.intc;
    struct apic_registers apic = {0};
    struct ioapic_registers ioapic = {0};
    struct pic_registers pic[2] = {{0}};
    bool full = kvm->chips == KVM_CHIPS_FULL;

    if (!kvm->has_chips)
        return true;
    if (!kvm_complete(kvm))
        return false;
    kvm_tsc_home(kvm); /* by which the deadline is reckoned */
    kvm_lock(kvm);
    if (!apic_home(kvm, &apic) || (full && !board_home(kvm, &ioapic, pic))) {
        kvm_unlock(kvm);
        return false;
    }
    kvm->has_chips = false;
    intc->ops->take_back(intc->opaque, &apic);
    if (apic.deadline)
        cpu_write_msr(kvm->cpu, MSR_TSC_DEADLINE, apic.deadline);
    if (full) {
        kvm->irqchips->ioapic_take_back(kvm->irqchips->ioapic, &ioapic);
        kvm->irqchips->pic_take_back(kvm->irqchips->pic, pic);
    } else {
        kvm->irqchips->ioapic_watch(kvm->irqchips->ioapic, NULL);
    }
    kvm_unlock(kvm);
    return true;
}

/* --- Life
 * -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int capability;
    const char *lacks;
} modes[] = {
    [KVM_CHIPS_OFF] = {"off", 0, NULL},
    [KVM_CHIPS_SPLIT] = {"split", KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP (Linux 4.5)"},
    [KVM_CHIPS_FULL] = {"full", KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
};

/* By "auto", what guests that go by the APIC's timer are fastest with: see docs/kvm.md. */
static enum kvm_chips wanted_mode(const char *name)
{
    if (!name)
        return KVM_CHIPS_OFF;
    for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++)
        if (!strcmp(modes[n].name, name))
            return (enum kvm_chips)n;
    return KVM_CHIPS_SPLIT;
}

static bool has(struct kvm *kvm, int capability)
{
    return ioctl(kvm->vm, KVM_CHECK_EXTENSION, capability) > 0;
}

static bool can_do(struct kvm *kvm, enum kvm_chips mode)
{
    const char *lacks = !has(kvm, modes[mode].capability)       ? modes[mode].lacks
                        : !has(kvm, KVM_CAP_SIGNAL_MSI)         ? "KVM_CAP_SIGNAL_MSI (Linux 3.5)"
                        : !has(kvm, KVM_CAP_IRQ_ROUTING)        ? "KVM_CAP_IRQ_ROUTING (Linux 2.6.30)"
                        : !has(kvm, KVM_CAP_TSC_DEADLINE_TIMER) ? "KVM_CAP_TSC_DEADLINE_TIMER (Linux 3.5)"
                                                                : NULL;

    if (lacks)
        log_at(kvm->config.log, LOG_WARN, "kvm",
               "--kvm-irqchip %s: this kernel's KVM has no %s; the interrupt controllers are Oxbow's",
               modes[mode].name, lacks);
    return !lacks;
}

bool kvm_chips_create(struct kvm *kvm, const char *wanted, const struct irqchips *chips, char *why,
                      size_t why_size)
{
    enum kvm_chips mode = chips && kvm->config.intc.ops ? wanted_mode(wanted) : KVM_CHIPS_OFF;
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {PINS}};

    if (kvm->user_only && wanted && (!strcmp(wanted, "split") || !strcmp(wanted, "full")))
        log_at(kvm->config.log, LOG_WARN, "kvm",
               "--kvm-irqchip %s: only user code is KVM's here, so the interrupt controllers are Oxbow's "
               "(see --kvm-code)",
               wanted);
    if (kvm->user_only || mode == KVM_CHIPS_OFF || !can_do(kvm, mode))
        return true;
    kvm->irqchips = chips;
    kvm->tenant = (struct irqchip_tenant){
        .opaque = kvm, .message = send_message, .line = set_line, .entries_changed = entries_changed};
    if (mode == KVM_CHIPS_SPLIT) {
        if (!KVM_IOCTL(kvm->vm, KVM_ENABLE_CAP, &split, why, why_size))
            return false;
    } else if (!KVM_IOCTL(kvm->vm, KVM_CREATE_IRQCHIP, NULL, why, why_size) ||
               !route_lines(kvm, why, why_size)) {
        return false;
    }
    kvm->chips = mode;
    return true;
}
