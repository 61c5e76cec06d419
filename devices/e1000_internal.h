/*
 * e1000_internal.h - what the controller's files share. For devices/e1000*.c alone. Names and section numbers
 * are those of Intel's 8254x Family of Gigabit Ethernet Controllers Software Developer's Manual.
 *
 * e1000.c: PCI, interrupts, reset. e1000_registers.c: what is read and written. e1000_eeprom.c: EEPROM and
 * PHY. e1000_transmit.c and e1000_receive.c: descriptors and frames.
 */
#ifndef DEVICES_E1000_INTERNAL_H
#define DEVICES_E1000_INTERNAL_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/net.h"
#include "devices/e1000.h"
#include "devices/ethernet.h"
#include "devices/pci.h"
#include "devices/pci_rom.h"

/* Registers, by their offset in BAR 0 (13.3). */
#define CTRL     0x0000
#define STATUS   0x0008
#define EECD     0x0010
#define EERD     0x0014
#define CTRL_EXT 0x0018
#define MDIC     0x0020
#define VET      0x0038
#define ICR      0x00C0
#define ITR      0x00C4
#define ICS      0x00C8
#define IMS      0x00D0
#define IMC      0x00D8
#define RCTL     0x0100
#define TCTL     0x0400
#define PBA      0x1000
#define RDBAL    0x2800
#define RDBAH    0x2804
#define RDLEN    0x2808
#define RDH      0x2810
#define RDT      0x2818
#define RDTR     0x2820
#define RADV     0x282C
#define TDBAL    0x3800
#define TDBAH    0x3804
#define TDLEN    0x3808
#define TDH      0x3810
#define TDT      0x3818
#define TIDV     0x3820
#define TADV     0x382C
#define RXCSUM   0x5000
#define MTA      0x5200
#define RAL(n)   (0x5400 + 8 * (n))
#define RAH(n)   (0x5404 + 8 * (n))
#define VFTA     0x5600

#define RECEIVE_ADDRESSES 16

/* Statistics: they count until they are read. */
#define STATISTICS     0x4000
#define MPC            0x4010 /* missed: no room */
#define PRC64          0x405C /* received, of 64 bytes; six sizes */
#define GPRC           0x4074
#define BPRC           0x4078
#define MPRC           0x407C
#define GPTC           0x4080
#define GORCL          0x4088 /* of 64 bits, as the next one and TOR and TOT */
#define GOTCL          0x4090
#define RNBC           0x40A0 /* came when the ring was empty */
#define ROC            0x40AC /* too long */
#define TORL           0x40C0
#define TOTL           0x40C8
#define TPR            0x40D0
#define TPT            0x40D4
#define PTC64          0x40D8
#define MPTC           0x40F0
#define BPTC           0x40F4
#define TSCTC          0x40F8 /* segmentations */
#define STATISTICS_END 0x4100

#define REGISTERS_END 0x5C00 /* behind it is nothing that keeps what is written */

#define CTRL_FD      0x00000001u
#define CTRL_SLU     0x00000040u
#define CTRL_SPEED   0x00000200u /* 1000 Mb/s */
#define CTRL_RST     0x04000000u
#define CTRL_VME     0x40000000u
#define CTRL_PHY_RST 0x80000000u

#define STATUS_FD    0x001u
#define STATUS_LU    0x002u
#define STATUS_SPEED 0x080u /* 1000 Mb/s */
#define STATUS_ASDV  0x200u /* and detected */

#define CAUSE_TXDW   0x0001u /* 13.4.17 */
#define CAUSE_TXQE   0x0002u
#define CAUSE_LSC    0x0004u
#define CAUSE_RXDMT0 0x0010u
#define CAUSE_RXO    0x0040u
#define CAUSE_RXT0   0x0080u
#define CAUSE_MDAC   0x0200u
#define CAUSES       0x0001FFFFu

#define DELAY_FLUSH 0x80000000u /* RDTR and TIDV: FPD */

#define RCTL_EN       0x00000002u
#define RCTL_SBP      0x00000004u
#define RCTL_UPE      0x00000008u
#define RCTL_MPE      0x00000010u
#define RCTL_LPE      0x00000020u
#define RCTL_LBM      0x000000C0u
#define RCTL_RDMTS(r) ((r) >> 8 & 3)
#define RCTL_MO(r)    ((r) >> 12 & 3)
#define RCTL_BAM      0x00008000u
#define RCTL_BSIZE(r) ((r) >> 16 & 3)
#define RCTL_VFE      0x00040000u
#define RCTL_CFIEN    0x00080000u
#define RCTL_CFI      0x00100000u
#define RCTL_BSEX     0x02000000u
#define RCTL_SECRC    0x04000000u

#define TCTL_EN  0x2u
#define TCTL_PSP 0x8u

#define PHY_CONTROL_LOOPBACK 0x4000u

#define DESCRIPTOR_SIZE 16
#define CRC_SIZE        4
#define VLAN_TAG_SIZE   4
#define HEADER_MAX      255 /* of TSO */

/* What a context descriptor said (3.3.6). */
struct e1000_context {
    uint8_t ipcss, ipcso, tucss, tucso, hdrlen, command;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
};

/* The frame, or what is cut into segments, that descriptors are filling. */
struct e1000_packet {
    struct e1000_context plain, segmentation; /* the controller keeps one of each */
    bool started, segmented, dropped;
    bool whole;             /* segmented, but the network cuts it */
    uint8_t popts, command; /* of the first data descriptor */
    uint16_t special;       /* VLAN tag */
    uint32_t size;          /* bytes of it in `buffer` */
    uint32_t left;          /* bytes of payload still to come, of TSO */
    uint32_t segments;      /* sent */
    uint8_t header[HEADER_MAX + 1];
    uint8_t buffer[VLAN_TAG_SIZE + NET_LARGE_MAX]; /* the frame, behind room for a tag */
};

/* The EEPROM's three wires (5.3). */
struct e1000_eeprom {
    uint16_t word[64]; /* not state: nothing writes it */
    uint32_t in;       /* bits clocked in since chip select */
    uint8_t in_count, out_count;
    uint16_t out; /* the rest of a word on its way out, highest bit first */
    bool dout;
};

/* Two timers that hold an interrupt back: each event restarts the one, the first one starts the other
 * (13.4.30). */
struct e1000_delay {
    struct timer timer;
    uint64_t due, latest; /* clock ns; CLOCK_NEVER: nothing waits */
    uint32_t cause;       /* not state */
};

struct e1000 {
    struct e1000_wires wires;
    struct pci_function function;
    struct region *registers, *ports;
    struct pci_rom rom;

    uint32_t reg[REGISTERS_END / 4];
    uint32_t address; /* IOADDR */
    uint16_t phy[32];
    struct e1000_eeprom eeprom;
    struct e1000_packet packet;

    struct timer throttle; /* ITR */
    uint64_t quiet_until;  /* clock ns: no interrupt before */
    struct timer transmit; /* there is more in the ring */
    struct e1000_delay received, sent;
    bool line;
    bool busy; /* with DMA: what it writes is for memory, not for the card itself */
};

static inline uint32_t *e1000_reg(struct e1000 *card, unsigned offset)
{
    return &card->reg[offset / 4];
}

static inline bool e1000_may_master(const struct e1000 *card)
{
    return pci_get(&card->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* Descriptors of a ring whose base, length, head and tail begin at `base` (RDBAL, TDBAL). */
static inline uint32_t e1000_ring_count(struct e1000 *card, unsigned base)
{
    return *e1000_reg(card, base + 8) / DESCRIPTOR_SIZE;
}

static inline uint64_t e1000_ring_address(struct e1000 *card, unsigned base, uint32_t index)
{
    uint64_t start = (uint64_t)*e1000_reg(card, base + 4) << 32 | *e1000_reg(card, base);

    return start + (uint64_t)index * DESCRIPTOR_SIZE;
}

/* e1000.c: an interrupt's cause came, now or by its delay; causes or masks changed; RST in CTRL; the cable.
 */
void e1000_cause(struct e1000 *card, uint32_t cause);
void e1000_delay(struct e1000 *card, struct e1000_delay *delay, uint32_t relative, uint32_t absolute);
void e1000_flush(struct e1000 *card, struct e1000_delay *delay);
void e1000_update_irq(struct e1000 *card);
void e1000_reset_registers(struct e1000 *card);
bool e1000_link(const struct e1000 *card);

/* e1000_registers.c */
extern const struct bus_ops e1000_register_ops, e1000_port_ops;
void e1000_registers_init(struct e1000 *card);
/* One more, or so many more, of a statistic; 64 bits wide. It stays at its greatest value. */
void e1000_count(struct e1000 *card, unsigned statistic);
void e1000_count_bytes(struct e1000 *card, unsigned statistic, size_t bytes);
/* A frame of so many bytes, with its check sequence, in the class of its size; `first` is PRC64 or PTC64. */
void e1000_count_size(struct e1000 *card, unsigned first, size_t size);

/* e1000_eeprom.c */
extern const struct field e1000_eeprom_fields[];
void e1000_eeprom_init(struct e1000 *card);
void e1000_eeprom_write(struct e1000 *card, uint32_t eecd);
uint32_t e1000_eeprom_read(struct e1000 *card);
void e1000_eeprom_fetch(struct e1000 *card, uint32_t eerd);
void e1000_phy_reset(struct e1000 *card);
void e1000_phy_link(struct e1000 *card);
void e1000_phy_access(struct e1000 *card, uint32_t mdic);

/* e1000_transmit.c: works through the ring, as far as one turn goes. */
extern const struct field e1000_packet_fields[];
void e1000_transmit(struct e1000 *card);
bool e1000_segments_too_long(const struct e1000_context *context);
bool e1000_whole_fits(const struct e1000_packet *packet);

/* e1000_receive.c: for a net_receiver and for loopback. RDT moved, or the receiver was enabled. */
bool e1000_ready(void *card);
void e1000_receive(void *card, const uint8_t *frame, size_t size);
void e1000_receive_more(struct e1000 *card);

#endif
