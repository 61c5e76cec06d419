/*
 * ahci_internal.h - between the files of the SATA controller.
 *
 *     ahci.c          the PCI function, the registers of the whole, interrupts
 *     ahci_port.c     a port: its registers, its link, which command is next
 *     ahci_command.c  a command that the drive works on alone: registers to it, data between it and memory
 *     ahci_queue.c    native queued commands, any number at once, straight between medium and memory
 *
 * A port is the other end of the drive's cable: it has a struct ata as an IDE channel has, and plays to it
 * what the FISes say that came over the wire in its place (Serial ATA 3.1, chapter 10 and 11).
 */
#ifndef DEVICES_AHCI_INTERNAL_H
#define DEVICES_AHCI_INTERNAL_H

#include "devices/ahci.h"
#include "devices/ata.h"
#include "devices/pci_msi.h"
#include "devices/sg.h"

#define AHCI_SLOTS 32

/* Registers of a port (AHCI 1.3.1, 3.3). */
enum ahci_port_register {
    PORT_CLB = 0x00,
    PORT_CLBU = 0x04,
    PORT_FB = 0x08,
    PORT_FBU = 0x0C,
    PORT_IS = 0x10,
    PORT_IE = 0x14,
    PORT_CMD = 0x18,
    PORT_TFD = 0x20,
    PORT_SIG = 0x24,
    PORT_SSTS = 0x28,
    PORT_SCTL = 0x2C,
    PORT_SERR = 0x30,
    PORT_SACT = 0x34,
    PORT_CI = 0x38,
};

/* PORT_IS and PORT_IE. */
#define IS_DHRS 0x00000001u /* a register FIS came from the drive; */
#define IS_PSS  0x00000002u /* one that announces PIO data; */
#define IS_SDBS 0x00000008u /* one with device bits, which ends queued commands */
#define IS_DPS  0x00000020u /* the piece of memory that wanted it was moved */
#define IS_PCS  0x00000040u /* SERR's "exchanged" is set */
#define IS_OFS  0x01000000u /* more data than memory for it */
#define IS_IFS  0x08000000u /* an error of the interface that stops the port */
#define IS_HBFS 0x20000000u /* no memory answered */
#define IS_TFES 0x40000000u /* the drive reported an error */
#define IS_ALL  0x7DC000FFu /* those that can be enabled */

/* PORT_CMD. */
#define CMD_ST    0x00000001u
#define CMD_SUD   0x00000002u
#define CMD_POD   0x00000004u
#define CMD_CLO   0x00000008u
#define CMD_FRE   0x00000010u
#define CMD_CCS   0x00001F00u
#define CMD_FR    0x00004000u
#define CMD_CR    0x00008000u
#define CMD_ATAPI 0x01000000u
#define CMD_DLAE  0x02000000u

/* The first word of a command's header in memory (4.2.2). */
#define HEADER_CFL(header)   ((header)&0x1F) /* of its FIS, in 32-bit words */
#define HEADER_CLEAR         0x00000400u     /* nothing comes back: go on when it was sent */
#define HEADER_PRDTL(header) ((header) >> 16)

#define TABLE_PACKET 0x40        /* in a command's table: the packet, and the pieces of memory, */
#define TABLE_PRD    0x80        /* 16 bytes each: */
#define PRD_COUNT    0x003FFFFFu /* of its last word: bytes less one */
#define PRD_INTR     0x80000000u

/* FISes, and where they are put in memory (4.2.1). */
#define FIS_TO_DEVICE   0x27
#define FIS_FROM_DEVICE 0x34
#define FIS_BITS        0xA1
#define FIS_PIO_SETUP   0x5F
#define FIS_COMMAND     0x80 /* byte 1, to the device: a command, not the control register */
#define FIS_INTERRUPT   0x40 /* byte 1, from it */
#define FIS_TO_HOST     0x20 /* byte 1 of a PIO setup */
#define FIS_SIZE        64
#define RECEIVED_PIO    0x20
#define RECEIVED_REG    0x40
#define RECEIVED_BITS   0x58

struct ahci_port;

/* A queued command that is with the medium. */
struct ahci_queued {
    struct block_request request;
    struct sg sg;
    struct ahci_port *port;
    uint8_t tag;
    bool flush;  /* to do when it was written */
    bool notify; /* a piece of its memory wants an interrupt */
};

struct ahci_port {
    struct ata drive;        /* zero: none */
    uint64_t list, received; /* CLB and FB */
    uint32_t is, ie, cmd, tfd, sig, sctl, serr, sact, ci;
    bool up;         /* the link; SSTS says so */
    bool resetting;  /* the drive does: its signature comes when it is done */
    bool unseen;     /* there was no place in memory for the signature's FIS */
    bool halted;     /* an error: no more commands until ST is cleared */
    bool link_waits; /* to come up when nothing is with the medium any more */

    /* The command that the drive works on alone. */
    bool busy;
    uint8_t slot, next; /* issued last, and to be looked at first */
    bool pio_in;        /* what was moved last went to memory by PIO */
    uint32_t header;
    uint64_t table;
    uint32_t prd, prd_at; /* the piece that is next, and the bytes of it that were moved */
    uint32_t moved;       /* bytes in all */

    uint32_t issued; /* queued commands, a bit a tag, that are with the medium and wanted */

    struct ahci_queued queued[AHCI_SLOTS];
    uint32_t flying; /* those that are with the medium, wanted or not */
    bool active;     /* ahci_port_go() is at work: drive's wires are looked at later */
    unsigned number;
    struct ahci *ahci;
};

struct ahci {
    struct pci_function function;
    uint32_t ghc, is;
    uint32_t told;    /* of IS, what a message was sent for */
    bool writing;     /* a register is being written */
    bool reset_waits; /* GHC.HR stays set until nothing is with a medium */
    struct ahci_port port[AHCI_PORTS];

    struct ahci_wires wires;
    struct pci_msi msi;
    struct region *region;
};

/* ahci.c: looks at the ports' interrupts again. */
void ahci_update(struct ahci *ahci);
bool ahci_may_master(const struct ahci *ahci);
/* A port has nothing with the medium any more. */
void ahci_port_rests(struct ahci *ahci);

/* ahci_port.c */
extern const struct field ahci_port_fields[];
uint32_t ahci_port_read(const struct ahci_port *port, unsigned reg);
void ahci_port_write(struct ahci_port *port, unsigned reg, uint32_t value);
/* As GHC.HR does; `cold`: as power-on does. */
void ahci_port_reset(struct ahci_port *port, bool cold);
void ahci_port_loaded(struct ahci_port *port);
/* Something changed: moves what can be moved and issues what can be issued. */
void ahci_port_go(struct ahci_port *port);
/* Stops at an error, with a bit of PORT_IS. */
void ahci_port_halt(struct ahci_port *port, uint32_t cause);
/* The drive's registers are in TFD now, and in a FIS in memory, with an interrupt if it asks for one. */
void ahci_port_report(struct ahci_port *port, bool interrupt);
void ahci_port_store(struct ahci_port *port, unsigned where, const uint8_t *fis, unsigned size);
/* The last of the requests that nobody wanted came back. */
void ahci_port_drained(struct ahci_port *port);

static inline bool ahci_port_draining(const struct ahci_port *port)
{
    return port->flying & ~port->issued;
}

/* ahci_command.c */
void ahci_command_start(struct ahci_port *port, const uint8_t *fis);
/* Goes on until it is done, or waits for the medium or for good. */
void ahci_command_run(struct ahci_port *port);
/* Piece `n` of a command's memory; false when its table lies in none. */
bool ahci_fetch_prd(struct ahci_port *port, uint64_t table, uint32_t n, uint64_t *addr, uint32_t *size,
                    bool *notify);

/* ahci_queue.c */
bool ahci_is_queued(const struct ahci_port *port, const uint8_t *fis);
void ahci_queue_start(struct ahci_port *port, unsigned slot, const uint8_t *fis, uint32_t header,
                      uint64_t table);
/* Nobody wants to hear of those under way any more. */
void ahci_queue_abort(struct ahci_port *port);
void ahci_queue_free(struct ahci_port *port);

#endif
