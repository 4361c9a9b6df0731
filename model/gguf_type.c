/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_type.h"

static const struct {
    uint32_t type;
    enum tm_dtype dtype;
} readable[] = {{0, TM_F32},    {1, TM_F16},    {2, TM_Q4_0},  {3, TM_Q4_1},    {6, TM_Q5_0},
                {7, TM_Q5_1},   {8, TM_Q8_0},   {12, TM_Q4_K}, {13, TM_Q5_K},   {14, TM_Q6_K},
                {24, TM_I8},    {25, TM_I16},   {26, TM_I32},  {27, TM_I64},    {28, TM_F64},
                {30, TM_BF16},  {10, TM_Q2_K},  {11, TM_Q3_K}, {20, TM_IQ4_NL}, {23, TM_IQ4_XS},
                {34, TM_TQ1_0}, {35, TM_TQ2_0}, {39, TM_MXFP4}};

#define READABLE_COUNT (sizeof readable / sizeof readable[0])

static const char *const names[] = {"F32",
                                    "F16",
                                    "Q4_0",
                                    "Q4_1",
                                    "Q4_2 (removed)",
                                    "Q4_3 (removed)",
                                    "Q5_0",
                                    "Q5_1",
                                    "Q8_0",
                                    "Q8_1",
                                    "Q2_K",
                                    "Q3_K",
                                    "Q4_K",
                                    "Q5_K",
                                    "Q6_K",
                                    "Q8_K",
                                    "IQ2_XXS",
                                    "IQ2_XS",
                                    "IQ3_XXS",
                                    "IQ1_S",
                                    "IQ4_NL",
                                    "IQ3_S",
                                    "IQ2_S",
                                    "IQ4_XS",
                                    "I8",
                                    "I16",
                                    "I32",
                                    "I64",
                                    "F64",
                                    "IQ1_M",
                                    "BF16",
                                    "Q4_0_4_4 (removed)",
                                    "Q4_0_4_8 (removed)",
                                    "Q4_0_8_8 (removed)",
                                    "TQ1_0",
                                    "TQ2_0",
                                    "IQ4_NL_4_4 (removed)",
                                    "IQ4_NL_4_8 (removed)",
                                    "IQ4_NL_8_8 (removed)",
                                    "MXFP4",
                                    "NVFP4",
                                    "Q1_0",
                                    "Q2_0"};

bool tm_gguf_type_dtype(uint32_t type, enum tm_dtype *out)
{
    for (size_t i = 0; i < READABLE_COUNT; i++) {
        if (readable[i].type == type) {
            *out = readable[i].dtype;
            return true;
        }
    }
    return false;
}

bool tm_gguf_type_of(enum tm_dtype dtype, uint32_t *out)
{
    for (size_t i = 0; i < READABLE_COUNT; i++) {
        if (readable[i].dtype == dtype) {
            *out = readable[i].type;
            return true;
        }
    }
    return false;
}

const char *tm_gguf_tensor_type_name(uint32_t type)
{
    return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}
