//! Device functions that kernels call. A module contains those that its kernels use.

use crate::ir::scalar::CudaHelper;
use std::collections::BTreeSet;

/// A device function, or a family of one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Helper {
    Record,
    Inside,
    MembersOf,
    AddPart,
    /// The helper of an operation of the table.
    Operation(CudaHelper),
    ToInt,
    ToUnsigned,
    Threefry,
}

impl Helper {
    /// Its name in the text.
    pub(super) fn name(self) -> &'static str {
        match self {
            Helper::Record => "Record",
            Helper::Inside => "inside",
            Helper::MembersOf => "members_of",
            Helper::AddPart => "add_part",
            Helper::Operation(CudaHelper::WrappingAdd) => "wrapping_add",
            Helper::Operation(CudaHelper::WrappingSub) => "wrapping_sub",
            Helper::Operation(CudaHelper::WrappingMul) => "wrapping_mul",
            Helper::Operation(CudaHelper::WrappingNeg) => "wrapping_neg",
            Helper::Operation(CudaHelper::WrappingAbs) => "wrapping_abs",
            Helper::Operation(CudaHelper::Divide) => "divide",
            Helper::Operation(CudaHelper::Remainder) => "remainder_of",
            Helper::Operation(CudaHelper::ShiftLeft) => "shift_left",
            Helper::Operation(CudaHelper::ShiftRight) => "shift_right",
            Helper::Operation(CudaHelper::NanMax) => "nan_max",
            Helper::Operation(CudaHelper::NanMin) => "nan_min",
            Helper::Operation(CudaHelper::Sign) => "sign",
            Helper::Operation(CudaHelper::Logistic) => "logistic",
            Helper::ToInt => "to_int",
            Helper::ToUnsigned => "to_unsigned",
            Helper::Threefry => "threefry",
        }
    }

    /// The helpers that it calls in turn.
    fn needs(self) -> &'static [Helper] {
        match self {
            Helper::Inside => &[Helper::Record],
            Helper::MembersOf => &[Helper::Record, Helper::Inside],
            Helper::Operation(CudaHelper::Divide) => &[Helper::Operation(CudaHelper::WrappingNeg)],
            _ => &[],
        }
    }

    fn text(self) -> &'static str {
        match self {
            Helper::Record => RECORD,
            Helper::Inside => INSIDE,
            Helper::MembersOf => MEMBERS_OF,
            Helper::AddPart => ADD_PART,
            Helper::Operation(CudaHelper::WrappingAdd) => WRAPPING_ADD,
            Helper::Operation(CudaHelper::WrappingSub) => WRAPPING_SUB,
            Helper::Operation(CudaHelper::WrappingMul) => WRAPPING_MUL,
            Helper::Operation(CudaHelper::WrappingNeg) => WRAPPING_NEG,
            Helper::Operation(CudaHelper::WrappingAbs) => WRAPPING_ABS,
            Helper::Operation(CudaHelper::Divide) => DIVIDE,
            Helper::Operation(CudaHelper::Remainder) => REMAINDER,
            Helper::Operation(CudaHelper::ShiftLeft) => SHIFT_LEFT,
            Helper::Operation(CudaHelper::ShiftRight) => SHIFT_RIGHT,
            Helper::Operation(CudaHelper::NanMax) => NAN_MAX,
            Helper::Operation(CudaHelper::NanMin) => NAN_MIN,
            Helper::Operation(CudaHelper::Sign) => SIGN,
            Helper::Operation(CudaHelper::Logistic) => LOGISTIC,
            Helper::ToInt => TO_INT,
            Helper::ToUnsigned => TO_UNSIGNED,
            Helper::Threefry => THREEFRY,
        }
    }
}

/// The text of these helpers and of all that they need, each once, in an order in which they may call each other.
pub(super) fn prelude(helpers: &BTreeSet<Helper>) -> String {
    let needed = helpers.iter().flat_map(|helper| helper.needs().iter().chain([helper]));
    let needed: BTreeSet<Helper> = needed.copied().collect();
    needed.iter().map(|helper| format!("{}\n", helper.text())).collect()
}

const RECORD: &str = "\
// The record of a position outside of its array: the first that any thread finds.
struct Record {
    unsigned kernel;     // its number; 0 while all is well
    int position;
    long long extent;    // the position had to be below
};
";

const INSIDE: &str = "\
// Whether a position is within an extent; else it is recorded.
__device__ __forceinline__ bool inside(int position, long long extent, Record* record, unsigned kernel) {
    if (position >= 0 && position < extent) return true;
    if (atomicCAS(&record->kernel, 0u, kernel) == 0u) {
        record->position = position;
        record->extent = extent;
    }
    return false;
}
";

const MEMBERS_OF: &str = "\
// The begin and the end of a segment's members: none, and a record, if its offsets are out of order or lead outside of
// the members.
__device__ __forceinline__ int2 members_of(int begin, int end, long long members, Record* record, unsigned kernel) {
    const bool is_right = inside(end, members + 1, record, kernel) && inside(begin, (long long)end + 1, record, kernel);
    return is_right ? make_int2(begin, end) : make_int2(0, 0);
}
";

const WRAPPING_ADD: &str = "\
__device__ __forceinline__ int wrapping_add(int x, int y) { return (int)((unsigned)x + (unsigned)y); }
";

const WRAPPING_SUB: &str = "\
__device__ __forceinline__ int wrapping_sub(int x, int y) { return (int)((unsigned)x - (unsigned)y); }
";

const WRAPPING_MUL: &str = "\
__device__ __forceinline__ int wrapping_mul(int x, int y) { return (int)((unsigned)x * (unsigned)y); }
";

const WRAPPING_NEG: &str = "\
__device__ __forceinline__ int wrapping_neg(int x) { return (int)(0u - (unsigned)x); }
";

const WRAPPING_ABS: &str = "\
__device__ __forceinline__ int wrapping_abs(int x) { return x < 0 ? (int)(0u - (unsigned)x) : x; }
";

const DIVIDE: &str = "\
// In a quotient by zero all bits are set; the one that overflows wraps.
__device__ __forceinline__ int divide(int x, int y) { return y == 0 ? -1 : y == -1 ? wrapping_neg(x) : x / y; }
__device__ __forceinline__ unsigned divide(unsigned x, unsigned y) { return y == 0u ? ~0u : x / y; }
";

const REMAINDER: &str = "\
// A remainder by zero is the dividend.
__device__ __forceinline__ int remainder_of(int x, int y) { return y == 0 ? x : y == -1 ? 0 : x % y; }
__device__ __forceinline__ unsigned remainder_of(unsigned x, unsigned y) { return y == 0u ? x : x % y; }
";

const SHIFT_LEFT: &str = "\
// Returns 0 for shifts by 32 or more, or by a negative number.
__device__ __forceinline__ unsigned shift_left(unsigned x, unsigned y) { return y < 32u ? x << y : 0u; }
__device__ __forceinline__ int shift_left(int x, int y) { return (unsigned)y < 32u ? (int)((unsigned)x << y) : 0; }
";

const SHIFT_RIGHT: &str = "\
// Shifts in zeros; returns 0 for shifts by 32 or more, or by a negative number.
__device__ __forceinline__ unsigned shift_right(unsigned x, unsigned y) { return y < 32u ? x >> y : 0u; }
__device__ __forceinline__ int shift_right(int x, int y) { return (unsigned)y < 32u ? (int)((unsigned)x >> y) : 0; }
";

const ADD_PART: &str = "\
// Adds a part to a total and computes the rounding error. An infinite total has none, even if finite parts made it.
template <typename T> __device__ __forceinline__ void add_part(T& total, T& lacks, T part) {
    const T sum = total + part;
    const T lost = part - (sum - total);
    lacks = lost - lost == T(0) ? lost : T(0);
    total = sum;
}
";

const NAN_MAX: &str = "\
// NaN if either is; of equal numbers, such as the zeros, the second.
template <typename T> __device__ __forceinline__ T nan_max(T x, T y) { return x > y || x != x ? x : y; }
";

const NAN_MIN: &str = "\
// NaN if either is; of equal numbers, such as the zeros, the second.
template <typename T> __device__ __forceinline__ T nan_min(T x, T y) { return x < y || x != x ? x : y; }
";

const SIGN: &str = "\
// Zeros and NaN are their own sign.
template <typename T> __device__ __forceinline__ T sign(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : x; }
";

const LOGISTIC: &str = "\
__device__ __forceinline__ float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ double logistic(double x) { return 1.0 / (1.0 + exp(-x)); }
";

const TO_INT: &str = "\
// Truncates; saturates. The instruction converts NaN to 0 for `float` only.
__device__ __forceinline__ int to_int(float x) { return x != x ? 0 : __float2int_rz(x); }
__device__ __forceinline__ int to_int(double x) { return x != x ? 0 : __double2int_rz(x); }
";

const TO_UNSIGNED: &str = "\
// Truncates; saturates. The instruction converts NaN to 0 for `float` only.
__device__ __forceinline__ unsigned to_unsigned(float x) { return x != x ? 0u : __float2uint_rz(x); }
__device__ __forceinline__ unsigned to_unsigned(double x) { return x != x ? 0u : __double2uint_rz(x); }
";

const THREEFRY: &str = "\
// threefry2x32 with 20 rounds.
// Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
__device__ __forceinline__ uint2 threefry(unsigned k0, unsigned k1, unsigned x0, unsigned x1) {
    const unsigned keys[3] = {k0, k1, k0 ^ k1 ^ 0x1bd11bdau};
    const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
    x0 += k0;
    x1 += k1;
#pragma unroll
    for (int block = 1; block <= 5; ++block) {
#pragma unroll
        for (int round = 0; round < 4; ++round) {
            x0 += x1;
            x1 = __funnelshift_l(x1, x1, rotations[(block - 1) % 2][round]) ^ x0;
        }
        x0 += keys[block % 3];
        x1 += keys[(block + 1) % 3] + block;
    }
    return make_uint2(x0, x1);
}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_helper_calls_stands_before_it_once() {
        let text = prelude(&[Helper::MembersOf, Helper::Operation(CudaHelper::Divide), Helper::Inside].into());
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in\n{text}"));
        assert!(at("struct Record") < at("bool inside") && at("bool inside") < at("int2 members_of"));
        assert!(at("int wrapping_neg") < at("int divide"));
        assert_eq!(text.matches("bool inside(").count(), 1);
        assert!(!text.contains("threefry"));
    }
}
