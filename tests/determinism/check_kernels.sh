#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every dispatched kernel call beside the reference (option TMILL_CHECK_KERNELS): the tests of
# stages/, every digest and one compress. Then each kernel is broken in a copy of its source, and
# the same program must notice and name it.
#
#   check_kernels.sh SOURCE-DIR BUILD-DIR
#
# Builds in SOURCE-DIR/build/check-kernels.
set -eu
source=$1
build=$2
checked=$source/build/check-kernels
work=$build/check_kernels
rm -rf "$work"
mkdir -p "$work"
cd "$work"

fail() {
    echo "check_kernels.sh: $1"
    exit 1
}

tests=$(cd "$source/stages" && ls *_test.c | sed 's/\.c$//')
{
    cmake -S "$source" --preset check-kernels &&
        cmake --build "$checked" --target stage_digests tmill $tests
} >build.log 2>&1 || {
    tail -n 30 build.log
    fail "it does not build"
}

# ---- all equal ----

ctest --test-dir "$checked" --no-tests=error -R "^unit\\.($(echo $tests | tr ' ' '|'))\$" \
    --output-on-failure >ctest.log 2>&1 || {
    tail -n 60 ctest.log
    fail "tests of stages/ failed"
}
echo "tests of stages/: $(grep -E '^[0-9]+% tests passed' ctest.log)"
kernel=ref
for name in avx2 neon; do
    status=0
    "$checked/tests/stage_digests" $name >digests.txt 2>digests.err || status=$?
    [ "$status" -ne 3 ] || continue
    [ "$status" -eq 0 ] || fail "stage_digests $name: $(cat digests.err)"
    kernel=$name
done
[ "$kernel" != ref ] || fail "this machine has no kernel but the reference"
export XDG_CONFIG_HOME="$work/config" XDG_STATE_HOME="$work/state"
python3 -B "$source/tests/determinism/make_model.py" model.safetensors
for recipe in int8 int4 ternary; do
    "$checked/bin/tmill" compress model.safetensors -o "$recipe.tmpk" -q --recipe "$recipe" \
        >/dev/null || fail "compress --recipe $recipe"
done
echo "stage_digests and compress (int8, int4, ternary): kernel $kernel and reference agree"

# ---- and what if not ----

links="$checked/libtm_encode.a $checked/libtm_decode.a $checked/libtm_model.a
    $checked/libtm_crypto.a $checked/libtm_base.a
    $(pkg-config --libs libzstd libsodium libcrypto jansson libpcre2-8 libutf8proc) -lgomp -lm"

# broken FILE SED-EXPRESSION FUNCTION: the object of the broken copy stands before the library that
# has the sound one, so the linker takes the broken one.
broken() {
    sed "$2" "$source/stages/$1_$kernel.c" >"broken_$1.c"
    ! cmp -s "$source/stages/$1_$kernel.c" "broken_$1.c" || fail "$1: nothing to break: $2"
    gcc -std=c11 -O2 -ffp-contract=off -D_GNU_SOURCE -DTMILL_CHECK_KERNELS $isa -I"$source" \
        "broken_$1.c" "$source/tests/determinism/stage_digests.c" $links -o "broken_$1" ||
        fail "the broken $1 does not build"
    status=0
    "./broken_$1" "$kernel" >broken.txt 2>broken.err || status=$?
    [ "$status" -ge 128 ] || fail "a broken $1 goes on: status $status"
    named="^kernel $kernel of $3( \\([a-z ]+\\))?: element [0-9]+ is [0-9a-f ]+, the reference"
    grep -Eq "$named" broken.err ||
        fail "a broken $1 is not named: $(cat broken.err)"
    echo "broken $1: $(head -n 1 broken.err)"
}

if [ "$kernel" = avx2 ]; then
    isa="-mavx2 -mfma -mf16c"
    broken int_decode 's/_mm256_add_ps(y, _mm256_setzero_ps())/y/' int_scale
    broken int_encode 's/_CMP_GE_OQ/_CMP_GT_OQ/' int_quantize8
    broken measure_encode 's/_mm256_mul_pd(e, e)/_mm256_add_pd(e, e)/' measure
    broken rans_decode 's/_mm256_slli_epi32(x, 16)/_mm256_slli_epi32(x, 15)/' rans_read
else
    isa=
    broken int_decode 's/vaddq_f32(vmulq_f32(low, s), none)/vmulq_f32(low, s)/' int_scale
    broken int_encode 's/vcgeq_f32(rest/vcgtq_f32(rest/' int_quantize8
    broken measure_encode 's/vmulq_f64(e, e)/vaddq_f64(e, e)/' measure
    broken rans_decode 's/vshlq_n_u32(x, 16)/vshlq_n_u32(x, 15)/' rans_read
fi
