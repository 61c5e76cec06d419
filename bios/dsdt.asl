/*
 * dsdt.asl - what of the board an operating system can't find out by itself: the PCI root and its windows,
 * where PCI's interrupts go, the ISA devices, and how to turn the machine off.
 *
 * The power button is the FADT's fixed feature, so there is no device for it.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "OXBOW ", "OXBOWPC ", 0x00000001)
{
    /* Soft off is SLP_TYP 0. */
    Name (\_S5, Package () { 0, 0, 0, 0 })

    Scope (\_SB)
    {
        /* The four PCI interrupts, wired for good, with and without APICs: A and B to GSI 10, C and D to 11. */
        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Name (_PRS, ResourceTemplate () {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 10 }
            })
            Method (_STA) { Return (0x0B) }
            Method (_CRS) { Return (_PRS) }
            Method (_DIS) { }
            Method (_SRS, 1) { }
        }

        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Name (_PRS, ResourceTemplate () {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 10 }
            })
            Method (_STA) { Return (0x0B) }
            Method (_CRS) { Return (_PRS) }
            Method (_DIS) { }
            Method (_SRS, 1) { }
        }

        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Name (_PRS, ResourceTemplate () {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 11 }
            })
            Method (_STA) { Return (0x0B) }
            Method (_CRS) { Return (_PRS) }
            Method (_DIS) { }
            Method (_SRS, 1) { }
        }

        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Name (_PRS, ResourceTemplate () {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 11 }
            })
            Method (_STA) { Return (0x0B) }
            Method (_CRS) { Return (_PRS) }
            Method (_DIS) { }
            Method (_SRS, 1) { }
        }

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)

            Name (_CRS, ResourceTemplate () {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xFEBFFFFF, 0x00000000, 0x3EC00000)
            })

            /*
             * 32 slots of four pins. Pin p (from 0) of slot s goes to link (s + p + 3) mod 4: each slot is turned
             * by one against its neighbour, and slot 1 begins with LNKA.
             */
            Method (_PRT, 0, Serialized)
            {
                Local0 = Package (128) { }
                Local1 = 0
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local3 = Local1 & 3
                    Switch (ToInteger ((Local2 + Local3) & 3))
                    {
                        Case (1) { Local4 = Package () { 0, 0, LNKA, 0 } }
                        Case (2) { Local4 = Package () { 0, 0, LNKB, 0 } }
                        Case (3) { Local4 = Package () { 0, 0, LNKC, 0 } }
                        Default { Local4 = Package () { 0, 0, LNKD, 0 } }
                    }
                    Local4 [0] = (Local2 << 16) | 0xFFFF
                    Local4 [1] = Local3
                    Local0 [Local1] = Local4
                    Local1++
                }
                Return (Local0)
            }

            Device (PIC)
            {
                Name (_HID, EisaId ("PNP0000"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
                    IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
                    IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                    IRQNoFlags () { 2 }
                })
            }

            Device (TIMR)
            {
                Name (_HID, EisaId ("PNP0100"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
                    IRQNoFlags () { 0 }
                })
            }

            Device (DMAC)
            {
                Name (_HID, EisaId ("PNP0200"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x0000, 0x0000, 0x01, 0x10)
                    IO (Decode16, 0x0080, 0x0080, 0x01, 0x10)
                    IO (Decode16, 0x00C0, 0x00C0, 0x01, 0x20)
                    DMA (Compatibility, NotBusMaster, Transfer8_16) { 4 }
                })
            }

            Device (RTC)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                    IRQNoFlags () { 8 }
                })
            }

            Device (KBD)
            {
                Name (_HID, EisaId ("PNP0303"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                    IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                    IRQNoFlags () { 1 }
                })
            }

            Device (MOU)
            {
                Name (_HID, EisaId ("PNP0F13"))
                Name (_CRS, ResourceTemplate () {
                    IRQNoFlags () { 12 }
                })
            }

            Device (FDC0)
            {
                Name (_HID, EisaId ("PNP0700"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x03F2, 0x03F2, 0x01, 0x04)
                    IO (Decode16, 0x03F7, 0x03F7, 0x01, 0x01)
                    IRQNoFlags () { 6 }
                    DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
                })
            }

            Device (COM1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 1)
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                    IRQNoFlags () { 4 }
                })
            }

            Device (HPET)
            {
                Name (_HID, EisaId ("PNP0103"))
                Name (_UID, 0)
                Name (_CRS, ResourceTemplate () {
                    Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
                })
            }

            /* Ports that no driver should take for free. */
            Device (MBRD)
            {
                Name (_HID, EisaId ("PNP0C02"))
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
                    IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                    IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                    IO (Decode16, 0x0600, 0x0600, 0x01, 0x40)
                })
            }
        }
    }
}
