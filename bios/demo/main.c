/* main.c - the demo guest from its greeting to its power-off. */
#include "demo.h"

static const char *range_name(uint32_t type)
{
    static const char *const names[] = {"", "usable", "reserved", "ACPI tables", "ACPI NVS", "bad"};
    return type >= 1 && type <= 5 ? names[type] : "unknown";
}

static void show_memory(const struct start_info *start)
{
    const struct memory_range *range = (const struct memory_range *)start->memory_map;
    uint64_t usable = 0;
    heading("Memory");
    for (unsigned i = 0; i < start->memory_map_entries; i++, range++) {
        print("  0x%09lx-0x%09lx %10lu KiB  %s\n", range->base, range->base + range->size - 1,
              range->size >> 10, range_name(range->type));
        if (range->type == 1)
            usable += range->size;
    }
    print("  %-12s%lu MiB\n", "usable", usable >> 20);
}

static void say_what_next(void)
{
    heading("Boot something real");
    print("  ./setup demo                        Debian's kernel, to a shell\n"
          "  ./oxbow --kernel bzImage --initrd initrd.img --append \"console=ttyS0\"\n"
          "  ./oxbow FILE                        a kernel, recognised by its contents\n"
          "  ./oxbow --help                      all options\n\n");
}

void demo_main(const struct start_info *start);
void demo_main(const struct start_info *start)
{
    static struct acpi acpi;
    console_init();
    interrupts_init();
    title("This is the demo guest of Oxbow: a small kernel, running on a PC made of software.");
    if (start->magic != 0x336EC578 || start->version < 1) {
        print("The loader gave no PVH start information (version 1); stopping.\n");
        return;
    }
    show_cpu();
    show_memory(start);
    acpi_find(&acpi, start->rsdp);
    show_devices(&acpi);
    uint64_t tsc_hz = show_clocks(&acpi);
    show_interrupts();
    show_speed(tsc_hz);
    say_what_next();
    print("Powering off.\n");
    power_off(&acpi);
    print("The machine did not power off; stopping.\n");
}
