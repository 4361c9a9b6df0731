/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pickle_globals.h"

#define PLAIN(module, name, kind, dtype)                                                           \
    {                                                                                              \
        module, name, kind, TM_TORCH_PLAIN, dtype, 0                                               \
    }
#define UNKNOWN(module, name, kind, bytes)                                                         \
    {                                                                                              \
        module, name, kind, TM_TORCH_UNKNOWN, TM_U8, bytes                                         \
    }
#define BYTES(module, name)                                                                        \
    {                                                                                              \
        module, name, TM_GLOBAL_STORAGE, TM_TORCH_BYTES, TM_U8, 1                                  \
    }
#define WORD(module, name, kind)                                                                   \
    {                                                                                              \
        module, name, kind, TM_TORCH_NONE, TM_U8, 0                                                \
    }

/* torch/_utils.py, torch/serialization.py and torch/_weights_only_unpickler.py of PyTorch say which
 * names a checkpoint holds; the plain classes are those that training scripts save with it. */
static const struct tm_global globals[] = {
    WORD("torch._utils", "_rebuild_tensor_v2", TM_GLOBAL_TENSOR_V2),
    WORD("torch._utils", "_rebuild_tensor", TM_GLOBAL_TENSOR_V1),
    WORD("torch._utils", "_rebuild_tensor_v3", TM_GLOBAL_TENSOR_V3),
    WORD("torch._utils", "_rebuild_parameter", TM_GLOBAL_PARAMETER),
    WORD("torch._utils", "_rebuild_parameter_with_state", TM_GLOBAL_PARAMETER),
    WORD("torch.nn.parameter", "Parameter", TM_GLOBAL_PARAMETER),
    WORD("torch.nn.parameter", "Buffer", TM_GLOBAL_PARAMETER),
    WORD("torch._tensor", "_rebuild_from_type_v2", TM_GLOBAL_FROM_TYPE),
    WORD("torch", "Tensor", TM_GLOBAL_TYPE),
    WORD("torch._utils", "_rebuild_qtensor", TM_GLOBAL_UNREADABLE),
    WORD("torch._utils", "_rebuild_sparse_tensor", TM_GLOBAL_UNREADABLE),
    WORD("torch._utils", "_rebuild_sparse_csr_tensor", TM_GLOBAL_UNREADABLE),
    WORD("torch._utils", "_rebuild_nested_tensor", TM_GLOBAL_UNREADABLE),
    WORD("torch._utils", "_rebuild_meta_tensor_no_storage", TM_GLOBAL_UNREADABLE),
    WORD("torch._utils", "_rebuild_device_tensor_from_numpy", TM_GLOBAL_UNREADABLE),
    WORD("torch._utils", "_rebuild_wrapper_subclass", TM_GLOBAL_UNREADABLE),

    PLAIN("torch", "FloatStorage", TM_GLOBAL_STORAGE, TM_F32),
    PLAIN("torch", "HalfStorage", TM_GLOBAL_STORAGE, TM_F16),
    PLAIN("torch", "BFloat16Storage", TM_GLOBAL_STORAGE, TM_BF16),
    PLAIN("torch", "DoubleStorage", TM_GLOBAL_STORAGE, TM_F64),
    PLAIN("torch", "CharStorage", TM_GLOBAL_STORAGE, TM_I8),
    PLAIN("torch", "ShortStorage", TM_GLOBAL_STORAGE, TM_I16),
    PLAIN("torch", "IntStorage", TM_GLOBAL_STORAGE, TM_I32),
    PLAIN("torch", "LongStorage", TM_GLOBAL_STORAGE, TM_I64),
    PLAIN("torch", "ByteStorage", TM_GLOBAL_STORAGE, TM_U8),
    PLAIN("torch", "BoolStorage", TM_GLOBAL_STORAGE, TM_BOOL),
    UNKNOWN("torch", "ComplexFloatStorage", TM_GLOBAL_STORAGE, 8),
    UNKNOWN("torch", "ComplexDoubleStorage", TM_GLOBAL_STORAGE, 16),
    UNKNOWN("torch", "QInt8Storage", TM_GLOBAL_STORAGE, 1),
    UNKNOWN("torch", "QUInt8Storage", TM_GLOBAL_STORAGE, 1),
    UNKNOWN("torch", "QInt32Storage", TM_GLOBAL_STORAGE, 4),
    UNKNOWN("torch", "QUInt4x2Storage", TM_GLOBAL_STORAGE, 1),
    UNKNOWN("torch", "QUInt2x4Storage", TM_GLOBAL_STORAGE, 1),
    BYTES("torch.storage", "UntypedStorage"),
    BYTES("torch", "UntypedStorage"),
    BYTES("torch.storage", "_UntypedStorage"),
    /* The tensor types of the tar form. */
    PLAIN("torch", "FloatTensor", TM_GLOBAL_TYPE, TM_F32),
    PLAIN("torch", "HalfTensor", TM_GLOBAL_TYPE, TM_F16),
    PLAIN("torch", "DoubleTensor", TM_GLOBAL_TYPE, TM_F64),
    PLAIN("torch", "CharTensor", TM_GLOBAL_TYPE, TM_I8),
    PLAIN("torch", "ShortTensor", TM_GLOBAL_TYPE, TM_I16),
    PLAIN("torch", "IntTensor", TM_GLOBAL_TYPE, TM_I32),
    PLAIN("torch", "LongTensor", TM_GLOBAL_TYPE, TM_I64),
    PLAIN("torch", "ByteTensor", TM_GLOBAL_TYPE, TM_U8),

    PLAIN("torch", "float32", TM_GLOBAL_DTYPE, TM_F32),
    PLAIN("torch", "float", TM_GLOBAL_DTYPE, TM_F32),
    PLAIN("torch", "float16", TM_GLOBAL_DTYPE, TM_F16),
    PLAIN("torch", "half", TM_GLOBAL_DTYPE, TM_F16),
    PLAIN("torch", "bfloat16", TM_GLOBAL_DTYPE, TM_BF16),
    PLAIN("torch", "float64", TM_GLOBAL_DTYPE, TM_F64),
    PLAIN("torch", "double", TM_GLOBAL_DTYPE, TM_F64),
    PLAIN("torch", "int8", TM_GLOBAL_DTYPE, TM_I8),
    PLAIN("torch", "int16", TM_GLOBAL_DTYPE, TM_I16),
    PLAIN("torch", "short", TM_GLOBAL_DTYPE, TM_I16),
    PLAIN("torch", "int32", TM_GLOBAL_DTYPE, TM_I32),
    PLAIN("torch", "int", TM_GLOBAL_DTYPE, TM_I32),
    PLAIN("torch", "int64", TM_GLOBAL_DTYPE, TM_I64),
    PLAIN("torch", "long", TM_GLOBAL_DTYPE, TM_I64),
    PLAIN("torch", "uint8", TM_GLOBAL_DTYPE, TM_U8),
    PLAIN("torch", "uint16", TM_GLOBAL_DTYPE, TM_U16),
    PLAIN("torch", "uint32", TM_GLOBAL_DTYPE, TM_U32),
    PLAIN("torch", "uint64", TM_GLOBAL_DTYPE, TM_U64),
    PLAIN("torch", "bool", TM_GLOBAL_DTYPE, TM_BOOL),
    PLAIN("torch", "float8_e4m3fn", TM_GLOBAL_DTYPE, TM_F8_E4M3),
    PLAIN("torch", "float8_e5m2", TM_GLOBAL_DTYPE, TM_F8_E5M2),
    UNKNOWN("torch", "float8_e4m3fnuz", TM_GLOBAL_DTYPE, 1),
    UNKNOWN("torch", "float8_e5m2fnuz", TM_GLOBAL_DTYPE, 1),
    UNKNOWN("torch", "float8_e8m0fnu", TM_GLOBAL_DTYPE, 1),
    UNKNOWN("torch", "float4_e2m1fn_x2", TM_GLOBAL_DTYPE, 1),
    UNKNOWN("torch", "complex32", TM_GLOBAL_DTYPE, 4),
    UNKNOWN("torch", "complex64", TM_GLOBAL_DTYPE, 8),
    UNKNOWN("torch", "complex128", TM_GLOBAL_DTYPE, 16),
    UNKNOWN("torch", "qint8", TM_GLOBAL_DTYPE, 1),
    UNKNOWN("torch", "quint8", TM_GLOBAL_DTYPE, 1),
    UNKNOWN("torch", "qint32", TM_GLOBAL_DTYPE, 4),

    WORD("torch", "Size", TM_GLOBAL_SAME),
    WORD("torch", "device", TM_GLOBAL_OPAQUE),
    WORD("torch", "strided", TM_GLOBAL_TYPE),
    WORD("torch", "sparse_coo", TM_GLOBAL_TYPE),
    WORD("torch", "per_tensor_affine", TM_GLOBAL_TYPE),
    WORD("torch", "per_channel_affine", TM_GLOBAL_TYPE),
    WORD("torch.serialization", "_get_layout", TM_GLOBAL_OPAQUE),

    WORD("collections", "OrderedDict", TM_GLOBAL_DICT),
    WORD("collections", "defaultdict", TM_GLOBAL_DICT),
    WORD("collections", "Counter", TM_GLOBAL_DICT),
    WORD("collections", "deque", TM_GLOBAL_LIST),
    WORD("argparse", "Namespace", TM_GLOBAL_OPAQUE),
    WORD("types", "SimpleNamespace", TM_GLOBAL_OPAQUE),
    WORD("pathlib", "PosixPath", TM_GLOBAL_OPAQUE),
    WORD("pathlib", "PurePosixPath", TM_GLOBAL_OPAQUE),
    WORD("pathlib", "WindowsPath", TM_GLOBAL_OPAQUE),
    WORD("pathlib", "PureWindowsPath", TM_GLOBAL_OPAQUE),
    WORD("pathlib._local", "PosixPath", TM_GLOBAL_OPAQUE),
    WORD("pathlib._local", "WindowsPath", TM_GLOBAL_OPAQUE),
    WORD("datetime", "datetime", TM_GLOBAL_OPAQUE),
    WORD("datetime", "date", TM_GLOBAL_OPAQUE),
    WORD("datetime", "timedelta", TM_GLOBAL_OPAQUE),
    WORD("_codecs", "encode", TM_GLOBAL_OPAQUE),
    WORD("copy_reg", "_reconstructor", TM_GLOBAL_RECONSTRUCT),
    WORD("copyreg", "_reconstructor", TM_GLOBAL_RECONSTRUCT),

    /* Plain types, as factories of a defaultdict and as values of options. */
    WORD(NULL, "object", TM_GLOBAL_TYPE),
    WORD(NULL, "dict", TM_GLOBAL_DICT),
    WORD(NULL, "list", TM_GLOBAL_LIST),
    WORD(NULL, "set", TM_GLOBAL_LIST),
    WORD(NULL, "frozenset", TM_GLOBAL_LIST),
    WORD(NULL, "tuple", TM_GLOBAL_TYPE),
    WORD(NULL, "int", TM_GLOBAL_TYPE),
    WORD(NULL, "long", TM_GLOBAL_TYPE),
    WORD(NULL, "float", TM_GLOBAL_TYPE),
    WORD(NULL, "bool", TM_GLOBAL_TYPE),
    WORD(NULL, "str", TM_GLOBAL_TYPE),
    WORD(NULL, "unicode", TM_GLOBAL_TYPE),
    WORD(NULL, "bytes", TM_GLOBAL_OPAQUE),
    WORD(NULL, "bytearray", TM_GLOBAL_OPAQUE),
    WORD(NULL, "complex", TM_GLOBAL_OPAQUE),
    WORD(NULL, "slice", TM_GLOBAL_OPAQUE),
    WORD(NULL, "range", TM_GLOBAL_OPAQUE),
    WORD(NULL, "xrange", TM_GLOBAL_OPAQUE),

    /* Numbers of NumPy: losses, the state of a random generator. */
    WORD("numpy.core.multiarray", "scalar", TM_GLOBAL_OPAQUE),
    WORD("numpy._core.multiarray", "scalar", TM_GLOBAL_OPAQUE),
    WORD("numpy.core.multiarray", "_reconstruct", TM_GLOBAL_OPAQUE),
    WORD("numpy._core.multiarray", "_reconstruct", TM_GLOBAL_OPAQUE),
    WORD("numpy.core.numeric", "_frombuffer", TM_GLOBAL_OPAQUE),
    WORD("numpy._core.numeric", "_frombuffer", TM_GLOBAL_OPAQUE),
    WORD("numpy", "ndarray", TM_GLOBAL_TYPE),
    WORD("numpy", "dtype", TM_GLOBAL_OPAQUE),
};

#define GLOBAL_COUNT (sizeof globals / sizeof globals[0])

static bool is_builtin(struct tm_view module)
{
    return tm_view_eq_str(module, "builtins") || tm_view_eq_str(module, "__builtin__");
}

bool tm_global_find(struct tm_view module, struct tm_view name, uint32_t *out)
{
    for (uint32_t i = 0; i < GLOBAL_COUNT; i++) {
        const struct tm_global *g = &globals[i];
        if (tm_view_eq_str(name, g->name) &&
            (g->module != NULL ? tm_view_eq_str(module, g->module) : is_builtin(module))) {
            *out = i;
            return true;
        }
    }
    return false;
}

const struct tm_global *tm_global_at(uint32_t index)
{
    TM_ASSERT(index < GLOBAL_COUNT);
    return &globals[index];
}
