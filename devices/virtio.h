/*
 * virtio.h - what a virtio device sees of its transport and its driver: queues of buffers in guest memory,
 * features, a configuration space (OASIS Virtual I/O Device 1.2; section numbers are that document's).
 *
 * A device embeds a struct virtio and calls virtio_init() and virtio_pci_plug() (virtio_pci.h) when it is
 * made:
 *
 *     struct virtio_rng { struct virtio virtio; ... };
 *
 *     static void notified(void *device, unsigned queue)
 *     {
 *         struct virtio_rng *rng = device;
 *         struct virtio_queue *requests = &rng->virtio.queue[queue];
 *         struct virtio_chain *chain;
 *
 *         while ((chain = virtio_pop(requests))) {
 *             ... look at chain->out, fill chain->in ...
 *             virtio_push(chain, written);
 *         }
 *         virtio_interrupt(requests);
 *     }
 *
 * A device may hold a chain for as long as it likes, also while a backend's thread works on its memory, and
 * push it later: always with the machine lock held.
 *
 * What is wrong with a driver's rings or descriptors makes the device broken: it asks for a reset, has
 * nothing more to pop and says so in the log at level guest. Devices do the same by virtio_broken() for
 * requests without the parts they must have.
 *
 * virtio.c: features, status, configuration. virtio_queue.c: queues and chains; virtio_ring.c: the two kinds
 * of rings that they lie in. virtio_pci.c: the PCI transport.
 *
 * Locking: all calls, both ways, with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/fields.h"
#include "devices/virtio_pci.h"

struct bus;
struct log;
struct virtio;
struct virtio_queue;

#define VIRTIO_QUEUES      34   /* of a device, at most */
#define VIRTIO_QUEUE_SIZE  1024 /* descriptors of a queue, at most */
#define VIRTIO_PIECES      1024 /* iovecs of a chain, at most */
#define VIRTIO_CONFIG_SIZE 264  /* bytes, at most */

/* Device types (5). */
#define VIRTIO_ID_NET     1
#define VIRTIO_ID_BLOCK   2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG     4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_9P      9
#define VIRTIO_ID_INPUT   18

/* Features that aren't a device type's own (6). */
#define VIRTIO_F_ANY_LAYOUT    (1ull << 27) /* of legacy drivers: messages may be cut anywhere */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32) /* accepted: the driver isn't a legacy one */
#define VIRTIO_F_RING_PACKED   (1ull << 34)

/*
 * One request of the driver: memory that the device reads, then memory that it writes, each in pieces. Pieces
 * have any size and alignment; how a message is cut into them means nothing (2.6.4). Nobody may write where
 * `out` is.
 */
struct virtio_chain {
    struct virtio_queue *queue;
    struct iovec *out, *in;
    unsigned out_count, in_count;
    size_t out_size, in_size; /* bytes together */

    /* Of virtio_queue.c: */
    struct iovec *piece; /* all of them, `capacity` at most for now */
    uint64_t *address;   /* of each in guest memory */
    unsigned capacity;
    unsigned epoch;            /* of the queue, when it was popped; another: it was reset since */
    uint16_t id;               /* names it to the driver */
    uint16_t descriptors;      /* that it takes in the ring */
    struct virtio_chain *next; /* unused ones */
};

struct virtio_class {
    const char *name;   /* for the log and the machine's map: "virtio-rng" */
    uint16_t id;        /* VIRTIO_ID_... */
    uint32_t pci_class; /* class, subclass, interface */
    bool modern_only;   /* there is no legacy interface to it */

    /* The driver says that there are chains in a queue. Called by the CPU's thread. */
    void (*notified)(void *device, unsigned queue);
    /*
     * The driver or the machine resets it, before the queues are: forget all chains that are kept. Those that
     * somebody else works on are pushed when they are done, as always; nobody is told of them then, and to
     * modern drivers the reset isn't complete before.
     */
    void (*reset)(void *device);
    /* Features are agreed upon: virtio_has() is right from here on to the reset. May be NULL. */
    void (*features_set)(void *device);
    /* The driver is ready: queues may be used. May be NULL. */
    void (*started)(void *device);
    /* The driver wrote bytes of config[] that it may write; before it reads some. May be NULL. */
    void (*config_written)(void *device, unsigned offset, unsigned size);
    void (*config_reading)(void *device, unsigned offset, unsigned size);
};

/* How a device reaches its driver; of the transport. */
struct virtio_transport {
    void (*queue_interrupt)(struct virtio *virtio, unsigned queue);
    void (*config_interrupt)(struct virtio *virtio);
};

struct virtio_queue {
    struct virtio *virtio;
    unsigned number;
    uint16_t size_max; /* what the device offers */

    /* As the driver set it up: */
    uint16_t size;
    bool enabled;
    uint16_t vector;               /* of MSI-X */
    uint64_t desc, driver, device; /* its three parts in guest memory: 2.7, 2.8 */
    uint16_t next_avail;           /* in a split ring free-running, in a packed one a slot */
    uint16_t next_used;
    bool avail_wrap, used_wrap; /* of a packed ring: the wrap counters there */
    uint32_t since_interrupt;   /* slots used since the driver was last told, or needn't be */

    /* Of virtio_queue.c: */
    uint8_t *desc_host, *driver_host, *device_host; /* the same parts; good while enabled */
    unsigned filled;                                /* slots filled and not yet published */
    uint16_t filled_flags;                          /* packed: what publishes them, in the first of them */
    unsigned in_flight;                             /* chains popped and not given back, of all epochs */
    unsigned epoch;
    struct virtio_chain *unused;
};

struct virtio {
    const struct virtio_class *class;
    void *dev; /* the class's functions' first argument */
    struct bus *memory;
    struct log *log;
    const struct virtio_transport *transport;
    struct virtio_pci pci;

    uint64_t offered, accepted;
    uint8_t status;
    uint8_t generation; /* of config[] */
    /* The device's: little-endian. `config_size` of it exist. */
    uint8_t config[VIRTIO_CONFIG_SIZE];
    uint8_t writable[VIRTIO_CONFIG_SIZE]; /* bits that the driver may change */
    unsigned config_size;

    struct virtio_queue queue[VIRTIO_QUEUES];
    unsigned queues;
};

/* Put FIELD_STRUCT(struct virtio_NAME, virtio, virtio_fields) into the device's table. */
extern const struct field virtio_fields[];

/*
 * When a device is made, and before it is plugged in. `dev` is for the class's functions. `features` are the
 * device type's own; those of rings come by themselves. The configuration space is `config_size` bytes, zero.
 * Then a call for each queue, in their order; `size` is a power of two.
 */
void virtio_init(struct virtio *virtio, const struct virtio_class *class, void *dev, uint64_t features,
                 unsigned config_size);
void virtio_add_queue(struct virtio *virtio, unsigned size);
/* Of the device's free(): chains and the place on the bus. Nobody may hold a chain any more. */
void virtio_free(struct virtio *virtio);
/* Of the device's class: reset() and loaded(). */
void virtio_reset(struct virtio *virtio);
void virtio_loaded(struct virtio *virtio);

/* The driver took a feature (a mask, any bit of it). */
static inline bool virtio_has(const struct virtio *virtio, uint64_t feature)
{
    return virtio->accepted & feature;
}

/* The driver is ready and nothing is wrong with it: queues may be used. */
bool virtio_ready(const struct virtio *virtio);

/* The driver did what it must not: it has to reset the device. `format` says what, for the log. */
void virtio_broken(struct virtio *virtio, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* config[] is another now: tell the driver. */
void virtio_config_changed(struct virtio *virtio);

/* Numbers in config[], little-endian; `size` 1, 2, 4 or 8. */
void virtio_config_set(struct virtio *virtio, unsigned offset, uint64_t value, unsigned size);
uint64_t virtio_config_get(const struct virtio *virtio, unsigned offset, unsigned size);

/* --- queues */

/*
 * The next request, NULL when there is none now (the driver then notifies of the next one) or the device is
 * broken or not started. Every chain goes back by virtio_push(), virtio_unpop() or virtio_drop(), once.
 */
struct virtio_chain *virtio_pop(struct virtio_queue *queue);

/* Done with it: the first `written` bytes of `in` were written. The driver sees it, but isn't interrupted. */
void virtio_push(struct virtio_chain *chain, size_t written);

/*
 * The same in two steps, for messages over several chains that the driver must see at once: any number of
 * chains filled, at most as many as the ring has, and then published.
 */
void virtio_fill(struct virtio_chain *chain, size_t written);
void virtio_publish(struct virtio_queue *queue);

/* Gives the last chain that was popped back, as if it hadn't been; then maybe the one before, and so on. */
void virtio_unpop(struct virtio_chain *chain);

/* Forgets a chain without telling the driver: in reset() and for a broken device. */
void virtio_drop(struct virtio_chain *chain);

/* After pushing: interrupts the driver, unless it doesn't want that now. */
void virtio_interrupt(struct virtio_queue *queue);

/* There is something to pop. As virtio_pop(), it asks for a notification when there is not. */
bool virtio_available(struct virtio_queue *queue);

/*
 * Copies between a chain and `data`: from `offset` of what the device reads, or to `offset` of what it
 * writes. They return how many bytes there were.
 */
size_t virtio_read(const struct virtio_chain *chain, size_t offset, void *data, size_t size);
size_t virtio_write(const struct virtio_chain *chain, size_t offset, const void *data, size_t size);

/* Where piece `n` of `in` is in guest memory. */
static inline uint64_t virtio_in_address(const struct virtio_chain *chain, unsigned n)
{
    return chain->address[chain->out_count + n];
}

/*
 * The pieces of iov[0..count) from byte `offset` on, `size` bytes or as many as there are, into `part` (room
 * for `count`). Returns how many pieces they are.
 */
unsigned virtio_part(const struct iovec *iov, unsigned count, size_t offset, size_t size, struct iovec *part);

/* --- for transports */

#define VIRTIO_STATUS_ACKNOWLEDGE 0x01 /* 2.1 */
#define VIRTIO_STATUS_DRIVER      0x02
#define VIRTIO_STATUS_DRIVER_OK   0x04
#define VIRTIO_STATUS_FEATURES_OK 0x08
#define VIRTIO_STATUS_NEEDS_RESET 0x40
#define VIRTIO_STATUS_FAILED      0x80

/* The status as the driver reads it, and what it writes. `legacy`: through the legacy interface. */
uint8_t virtio_status(const struct virtio *virtio, bool legacy);
void virtio_set_status(struct virtio *virtio, uint8_t status, bool legacy);
/* The features that the driver takes; ignored once they are settled. */
void virtio_accept(struct virtio *virtio, uint64_t features);

#define VIRTIO_NO_VECTOR 0xFFFF

/* The driver has set the queue's size and places and enables it; what is wrong with them makes the device
 * broken. */
void virtio_queue_enable(struct virtio_queue *queue);
/* As after a reset: its chains are forgotten, its size the largest. */
void virtio_queue_reset(struct virtio_queue *queue);
void virtio_notify(struct virtio *virtio, unsigned queue);

/* Reads and writes of the configuration space, 1 to 8 bytes; what isn't there reads as zeroes. */
uint64_t virtio_config_read(struct virtio *virtio, unsigned offset, unsigned size);
void virtio_config_write(struct virtio *virtio, unsigned offset, uint64_t value, unsigned size);

#endif
