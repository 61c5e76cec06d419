/*
 * opcodes.c - opcodes.def as an array.
 */
#include "cpu/insn.h"
#include "cpu/internal.h"

/* First pass: declare the bodies that rows name. */
#define ROW(name, map, opcode, sel, prefix, ops, attr, feature, fr, fw, fu, bodies) bodies
#define ONE(f)                                                                      insn_fn f;
#define SIZED(f)                                                                    insn_fn f##_w, f##_d, f##_q;
#define FORMS(f)                                                                    insn_fn f##_r, f##_m, f##_g;
#define FORMS_SIZED(f)                                                                                       \
    insn_fn f##_r_w, f##_r_d, f##_r_q, f##_m_w, f##_m_d, f##_m_q, f##_g_w, f##_g_d, f##_g_q;
#define FORMS_Y(f) insn_fn f##_r_d, f##_r_q, f##_m_d, f##_m_q, f##_g_d, f##_g_q;
#define BRANCH(f) insn_fn f##_here, f##_away, f##_any;
#define VECTOR(f) insn_fn f##_x_r, f##_x_m, f##_x_g, f##_y_r, f##_y_m, f##_y_g;
#include "cpu/opcodes.def"
#undef ROW
#undef ONE
#undef SIZED
#undef FORMS
#undef FORMS_SIZED
#undef FORMS_Y
#undef BRANCH
#undef VECTOR

/* Second pass: the rows. */
#define OPS_PICK(a, b, c, d, ...)                                                                            \
    {                                                                                                        \
        O_##a, O_##b, O_##c, O_##d                                                                           \
    }
#define OPS(...) OPS_PICK(__VA_ARGS__ __VA_OPT__(, ) NONE, NONE, NONE, NONE, NONE)
#define ONE(f)                                                                                               \
    {                                                                                                        \
        {f, f, f}, {f, f, f},                                                                                \
        {                                                                                                    \
            f, f, f                                                                                          \
        }                                                                                                    \
    }
#define SIZED(f)                                                                                             \
    {                                                                                                        \
        {f##_w, f##_d, f##_q}, {f##_w, f##_d, f##_q},                                                        \
        {                                                                                                    \
            f##_w, f##_d, f##_q                                                                              \
        }                                                                                                    \
    }
#define FORMS(f)                                                                                             \
    {                                                                                                        \
        {f##_r, f##_r, f##_r}, {f##_m, f##_m, f##_m},                                                        \
        {                                                                                                    \
            f##_g, f##_g, f##_g                                                                              \
        }                                                                                                    \
    }
#define FORMS_SIZED(f)                                                                                       \
    {                                                                                                        \
        {f##_r_w, f##_r_d, f##_r_q}, {f##_m_w, f##_m_d, f##_m_q},                                            \
        {                                                                                                    \
            f##_g_w, f##_g_d, f##_g_q                                                                        \
        }                                                                                                    \
    }
#define FORMS_Y(f)                                                                                           \
    {                                                                                                        \
        {f##_r_d, f##_r_d, f##_r_q}, {f##_m_d, f##_m_d, f##_m_q},                                            \
        {                                                                                                    \
            f##_g_d, f##_g_d, f##_g_q                                                                        \
        }                                                                                                    \
    }
#define BRANCH(f)                                                                                            \
    {                                                                                                        \
        {f##_here, f##_here, f##_here}, {f##_away, f##_away, f##_away},                                      \
        {                                                                                                    \
            f##_any, f##_any, f##_any                                                                        \
        }                                                                                                    \
    }
#define VECTOR(f)                                                                                            \
    {                                                                                                        \
        {f##_x_r, f##_y_r, f##_y_r}, {f##_x_m, f##_y_m, f##_y_m},                                            \
        {                                                                                                    \
            f##_x_g, f##_y_g, f##_y_g                                                                        \
        }                                                                                                    \
    }
#define ROW(name, map, opcode, sel, prefix, ops, attr, feature, fr, fw, fu, bodies)                          \
    {name, map, opcode, sel, prefix, ops, attr, F_##feature, fr, fw, fu, bodies},

const struct opcode_row opcode_rows[] = {
#include "cpu/opcodes.def"
};
const unsigned opcode_row_count = sizeof(opcode_rows) / sizeof(opcode_rows[0]);
