/*
 * rtl8139_internal.h - what the controller's files share. For devices/rtl8139*.c alone. Names are those of
 * Realtek's RTL8139C(L)+ data sheet.
 *
 * rtl8139.c: PCI, interrupts, reset, registers. rtl8139_parts.c: EEPROM, PHY, timer, statistics.
 * rtl8139_transmit.c and rtl8139_receive.c: frames, by the four slots and the ring of the RTL8139C, or by
 * descriptors ("C+ mode").
 */
#ifndef DEVICES_RTL8139_INTERNAL_H
#define DEVICES_RTL8139_INTERNAL_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/net.h"
#include "devices/ethernet.h"
#include "devices/pci.h"
#include "devices/pci_rom.h"
#include "devices/rtl8139.h"

#define IDR      0x00 /* own address */
#define MAR      0x08 /* multicast table */
#define TSD(n)   (0x10 + 4 * (n))
#define DTCCR    0x10 /* in C+ mode */
#define TSAD(n)  (0x20 + 4 * (n))
#define TNPDS    0x20 /* in C+ mode, 64 bits */
#define THPDS    0x28
#define RBSTART  0x30
#define CR       0x37
#define CAPR     0x38
#define CBR      0x3A
#define IMR      0x3C
#define ISR      0x3E
#define TCR      0x40
#define RCR      0x44
#define TCTR     0x48
#define MPC      0x4C
#define CR9346   0x50
#define CONFIG0  0x51
#define CONFIG1  0x52
#define TIMERINT 0x54
#define MSR      0x58
#define CONFIG3  0x59
#define CONFIG4  0x5A
#define MULINT   0x5C
#define TSALL    0x60 /* TSAD in the data sheet: status of all slots */
#define BMCR     0x62
#define BMSR     0x64
#define ANAR     0x66
#define ANLPAR   0x68
#define ANER     0x6A
#define NWAYTR   0x70
#define CSCR     0x74
#define PHY_END  0x88
#define CONFIG5  0xD8
#define TPPOLL   0xD9
#define CPCR     0xE0
#define RDSAR    0xE4
#define ETTHR    0xEC
#define SIZE     0x100

#define CR_BUFE 0x01u
#define CR_TE   0x04u
#define CR_RE   0x08u
#define CR_RST  0x10u

#define INT_ROK     0x0001u
#define INT_TOK     0x0004u
#define INT_TER     0x0008u
#define INT_RXOVW   0x0010u /* in C+ mode: no descriptor */
#define INT_LINK    0x0020u
#define INT_TDU     0x0080u
#define INT_SW      0x0100u
#define INT_TIMEOUT 0x4000u

#define TSD_SIZE 0x1FFFu
#define TSD_OWN  0x2000u
#define TSD_TOK  0x8000u
#define TSD_TABT 0x40000000u

#define TCR_CLRABT 0x00000001u
#define TCR_LBK    0x00060000u

#define RCR_AAP      0x01u
#define RCR_APM      0x02u
#define RCR_AM       0x04u
#define RCR_AB       0x08u
#define RCR_WRAP     0x80u
#define RCR_RBLEN(r) ((r) >> 11 & 3)

#define CPCR_TX     0x01u
#define CPCR_RX     0x02u
#define CPCR_CHKSUM 0x20u
#define CPCR_VLAN   0x40u

#define TPPOLL_HPQ 0x80u
#define TPPOLL_NPQ 0x40u
#define TPPOLL_SW  0x01u

#define DESC_SIZE 16u
#define DESC_OWN  0x80000000u
#define DESC_EOR  0x40000000u
#define DESC_FS   0x20000000u
#define DESC_LS   0x10000000u
#define RING_MAX  64u /* descriptors (data sheet, 9.1) */

#define VLAN_TAG_SIZE 4u

/* What the driver's "dump tally counter" stores, little-endian, in this order. */
struct rtl8139_tally {
    uint64_t tx_ok, rx_ok, tx_error;
    uint32_t rx_error;
    uint16_t missed, alignment;
    uint32_t one_collision, more_collisions;
    uint64_t rx_own, rx_broadcast;
    uint32_t rx_multicast;
    uint16_t tx_aborted, tx_underrun;
};

struct rtl8139_eeprom {
    uint16_t word[64]; /* not state: nothing writes it */
    uint16_t in;       /* bits clocked in since chip select, from the start bit on */
    uint8_t out_count;
    uint16_t out;
    bool clock, dout;
};

struct rtl8139 {
    struct rtl8139_wires wires;
    struct pci_function function;
    struct region *ports, *registers;
    struct pci_rom rom;

    uint8_t reg[SIZE]; /* as software sees them, but for what is made up when read */
    struct rtl8139_eeprom eeprom;
    struct rtl8139_tally tally;
    uint64_t timer_start; /* clock ns: TCTR was 0 */
    uint8_t tx_next[2];   /* descriptors: normal and high priority */
    uint8_t rx_next;
    uint32_t tx_size;  /* of the frame that descriptors are filling */
    uint32_t tx_first; /* the first one's command */
    bool tx_started, tx_dropped;
    bool busy; /* with DMA; not state */

    struct timer timer;    /* TimerInt */
    struct timer poll;     /* whether there are descriptors to receive into */
    struct timer transmit; /* there is more in the ring */
    uint8_t frame[VLAN_TAG_SIZE + NET_LARGE_MAX];
};

static inline uint32_t rtl_get(const struct rtl8139 *card, unsigned reg, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, card->reg + reg, size);
    return value;
}

static inline void rtl_set(struct rtl8139 *card, unsigned reg, uint32_t value, unsigned size)
{
    memcpy(card->reg + reg, &value, size);
}

static inline uint64_t rtl_get64(const struct rtl8139 *card, unsigned reg)
{
    return (uint64_t)rtl_get(card, reg + 4, 4) << 32 | rtl_get(card, reg, 4);
}

static inline bool rtl_may_master(const struct rtl8139 *card)
{
    return pci_get(&card->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* rtl8139.c */
void rtl8139_interrupt(struct rtl8139 *card, uint32_t causes);

/* rtl8139_parts.c */
extern const struct field rtl8139_eeprom_fields[], rtl8139_tally_fields[];
void rtl8139_eeprom_init(struct rtl8139 *card);
void rtl8139_eeprom_write(struct rtl8139 *card, uint8_t cr9346);
void rtl8139_load_address(struct rtl8139 *card);
void rtl8139_phy_reset(struct rtl8139 *card);
void rtl8139_phy_written(struct rtl8139 *card);
void rtl8139_link(struct rtl8139 *card);
uint32_t rtl8139_count(struct rtl8139 *card);
void rtl8139_arm_timer(struct rtl8139 *card);
void rtl8139_dump_tally(struct rtl8139 *card);

/* rtl8139_transmit.c: slot n's TSD was written; TPPoll was; all that waits, when sending may have become
 * possible. */
void rtl8139_send_slot(struct rtl8139 *card, unsigned slot);
void rtl8139_send_ring(struct rtl8139 *card);
void rtl8139_send_all(struct rtl8139 *card);

/* rtl8139_receive.c: for a net_receiver and for loopback. */
bool rtl8139_ready(void *card);
void rtl8139_receive(void *card, const uint8_t *frame, size_t size);
void rtl8139_receive_more(struct rtl8139 *card);
/* A while later: whether there is room now, or something that its driver forgot. */
void rtl8139_look_again(struct rtl8139 *card);
/* Interrupts were acknowledged: sees to that if need be. */
void rtl8139_remind(struct rtl8139 *card);
/* The ring is empty. */
bool rtl8139_ring_empty(const struct rtl8139 *card);

#endif
