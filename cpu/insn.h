/*
 * insn.h - a decoded instruction, and the table row that it came from.
 *
 * opcodes.def is the single source: each of its rows says an encoding, its operands, feature, flags and
 * bodies. decode.c turns guest bytes into struct insn by it; the bodies in interp/ execute one struct insn
 * each.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct insn;

/*
 * A body executes one instruction and then goes on with the next (interp/body.h says how). It commits nothing
 * before the last point at which it can fault.
 */
typedef void insn_fn(struct cpu *cpu, const struct insn *i);

/* Address and operand sizes: log2 of the bytes, so that 1, 2 and 3 are 16, 32 and 64 bits. */
enum { SIZE_B, SIZE_W, SIZE_D, SIZE_Q };

/* Vector lengths, where a VEX-encoded instruction has them in place of an operand size: 128 and 256 bits. */
enum { VEC_X = 1, VEC_Y = 2 };

enum insn_flag {
    INSN_MEM = 1,   /* the E operand is in memory */
    INSN_REP = 2,   /* F3 */
    INSN_REPNE = 4, /* F2 */
    INSN_LOCK = 8,
    INSN_REX = 16,    /* a REX prefix was there */
    INSN_LINKED = 32, /* the next slot is a link */
    INSN_NEAR = 64,   /* that link stays in the trace's page */
    INSN_VEX = 128,   /* VEX-encoded */
};

/*
 * Registers are named by their byte offset in struct cpu, so that AH is RAX's offset plus one, "no index" is
 * the offset of a word that is always zero, and RIP-relative is a base like any other. The effective address
 * is word(base) + (word(index) << scale) + disp, truncated to the address size.
 */
struct insn {
    insn_fn *fn;
    int64_t imm; /* immediate, sign-extended; for branches target minus trace start; for moffs the offset; for
                    far pointers selector << 32 | offset */
    int32_t disp;
    uint16_t reg; /* the operand named by ModRM.reg (G, V, P); for S, C, D operands the register's number */
    uint16_t rm;  /* the operand named by ModRM.rm when it is a register, or by the opcode (Z); for ST(i) i */
    uint16_t base, index;
    uint16_t segbase; /* what a 64-bit effective address adds: FS.base, GS.base or the zero word */
    uint16_t row;     /* index into opcode_rows[] */
    uint8_t scale;
    uint8_t off; /* bytes from the trace's start to this instruction */
    uint8_t len;
    uint8_t seg;                  /* segment register of the memory operand, overrides applied */
    uint8_t flags;                /* enum insn_flag */
    uint8_t osize : 4, asize : 4; /* SIZE_W..; for A_VEC rows osize is VEC_X or VEC_Y */
    uint8_t vreg;                 /* VEX.vvvv: the register's number */
    uint8_t rest;                 /* instructions that follow in the trace */
};

/* Operands, in the manual's letters (SDM 2 appendix A.2). */
enum operand {
    O_NONE,
    O_Eb,
    O_Ew,
    O_Ed,
    O_Eq,
    O_Ev,
    O_Ey, /* ModRM.rm: register or memory; y is 32 or (REX.W) 64 */
    O_Gb,
    O_Gw,
    O_Gd,
    O_Gv,
    O_Gy, /* ModRM.reg: general register */
    O_Rv,
    O_Ry, /* ModRM.rm, register only */
    O_M,
    O_Mb,
    O_Mw,
    O_Md,
    O_Mq,
    O_Mdq,
    O_Mv,
    O_My,
    O_Mp,
    O_Ms,
    O_Ma, /* memory only; p far pointer, s GDTR/IDTR, a BOUND pair */
    O_Mt,
    O_M14_28,
    O_M94_108,
    O_M512, /* 80-bit, FPU environment and image, FXSAVE area */
    O_Zb,
    O_Zv,
    O_Zy, /* general register in the opcode's low three bits */
    O_AL,
    O_AX,
    O_eAX,
    O_rAX,
    O_CL,
    O_DX,
    O_1,
    O_3, /* implied */
    O_ES,
    O_CS,
    O_SS,
    O_DS,
    O_FS,
    O_GS,
    O_Ib,
    O_sIb,
    O_Iw,
    O_Iz,
    O_Iv, /* immediates: z is 16 or 32, v up to 64, sIb a sign-extended byte */
    O_Jb,
    O_Jz, /* relative branch targets */
    O_Ap, /* far pointer in the instruction */
    O_Ob,
    O_Ov, /* moffs */
    O_Sw,
    O_Cy,
    O_Dy, /* ModRM.reg: segment, control, debug register */
    O_Xb,
    O_Xv,
    O_Yb,
    O_Yv, /* DS:rSI, ES:rDI */
    O_Vx,
    O_Wx,
    O_Wss,
    O_Wsd,
    O_Wq, /* XMM by ModRM.reg; XMM or memory of 16, 4, 8, 8 bytes by ModRM.rm */
    O_Ux, /* XMM by ModRM.rm, register only */
    O_Wdq,
    O_Wh,
    O_Wf,
    O_We, /* XMM; memory of 16 bytes in any case, or of a half, a fourth, an eighth of the vector length */
    O_Hx,
    O_By, /* VEX.vvvv: XMM or YMM, general register */
    O_Lx, /* XMM or YMM by bits 7:4 of an immediate */
    O_Mvm, /* memory at base + the elements of an index vector (VSIB) */
    O_Pq,
    O_Qq,
    O_Qd,
    O_Nq, /* MMX by reg; MMX or memory by rm; register only */
    O_ST0,
    O_STi,
};

/* What ModRM must look like for a row to match. */
#define SEL_NO_MODRM 0x0000 /* there is none */
#define SEL_ANY      0x0100
#define SEL_MEM      0x0200
#define SEL_REG      0x0400
#define SEL_FORM     0x0700
#define SEL_PLUS_R                                                                                           \
    0x0800 /* no ModRM: the low three opcode bits are a register, the row covers eight opcodes */
#define SEL_W0      0x1000 /* VEX.W or VEX.L must be ... */
#define SEL_W1      0x2000
#define SEL_L0      0x4000
#define SEL_L1      0x8000
#define SEL_HAS_EXT 0x0010 /* ModRM.reg must be ... */
#define SEL_EXT(n)  (SEL_HAS_EXT | ((n) << 5))
#define SEL_HAS_RM  0x0008 /* ModRM.rm must be ... */
#define SEL_RM(n)   (SEL_HAS_RM | (n))
#define ANYX(n)     (SEL_ANY | SEL_EXT(n))
#define MEMX(n)     (SEL_MEM | SEL_EXT(n))
#define REGX(n)     (SEL_REG | SEL_EXT(n))
#define EXACT(n, m) (SEL_REG | SEL_EXT(n) | SEL_RM(m))

/* Opcode maps of VEX-encoded instructions follow those of the others. */
#define VEX 3

/* Mandatory prefix. */
enum { PFX_ANY, PFX_NONE, PFX_66, PFX_F3, PFX_F2 };

enum row_attr {
    A_LOCK = 1 << 0,   /* LOCK allowed with a memory destination */
    A_NO64 = 1 << 1,   /* #UD in 64-bit mode */
    A_ONLY64 = 1 << 2, /* #UD outside it */
    A_D64 = 1 << 3,    /* operand size defaults to 64 in 64-bit mode */
    A_F64 =
        1 << 4, /* operand size is 64 in 64-bit mode, whatever the prefixes say (near branches on Intel) */
    A_END = 1 << 5,       /* last of its trace: it changes RIP, or what later instructions depend on */
    A_CPL0 = 1 << 6,      /* #GP(0) unless CPL is 0; the body checks */
    A_REP = 1 << 7,       /* F2/F3 repeat it */
    A_NOREAL = 1 << 8,    /* #UD in real and virtual-8086 mode; the body checks */
    A_MODRM_REG = 1 << 9, /* mod is ignored: always the register form (MOV CR/DR) */
    A_SSE = 1 << 10,      /* an SSE instruction: #UD/#NM by CR0.EM, CR4.OSFXSR, CR0.TS; the body checks */
    A_LINK = 1 << 12,     /* can branch: a link follows it in the trace */
    A_STARTS = 1 << 13,   /* set by the decoder: must be the first of its trace */
    A_NO_REXB = 1 << 14, /* with REX.B it is another instruction */
    A_X87 = 1 << 11,      /* #NM by CR0.EM/TS and pending #MF; the body checks */
    A_VEC = 1 << 15,      /* VEX.L picks the body where others have the operand size */
};

struct opcode_row {
    const char *name;
    uint8_t map; /* 0 one byte, 1 0F, 2 0F38, 3 0F3A; VEX + 1 to 3 the same behind a VEX prefix */
    uint8_t opcode;
    uint16_t sel;
    uint8_t prefix;
    uint8_t operand[4];
    uint16_t attr;
    uint16_t feature; /* enum cpu_feature; the row exists for guests whose CPU model has it */
    uint32_t flags_read, flags_written, flags_undefined;
    /* By form (register; memory in 64-bit mode with no checks to make and no LOCK; memory in general) and
     * operand size W, D, Q. For relative branches: target in the trace's own page; elsewhere; outside 64-bit
     * mode. */
    insn_fn *fn[3][3];
};

extern const struct opcode_row opcode_rows[];
extern const unsigned opcode_row_count;

#endif
