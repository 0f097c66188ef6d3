//! Functions of numbers as vector instructions. If the portable target has its own formula, it is this one, step by
//! step, so that both return the same bits.

use super::lir::{Function, NO_VECTORS, Op, Pred, Reg};
use crate::aval::Literal;

impl Function {
    pub(super) fn v(&mut self, op: Op, a: Reg, b: Reg) -> Reg {
        self.vec(op, &[a, b])
    }

    fn fv(&mut self, op: Op, a: Reg, x: f32) -> Reg {
        let x = self.float(x);
        self.v(op, a, x)
    }

    pub(super) fn nan(&mut self, x: Reg) -> Reg {
        self.mask(Op::CmpF(Pred::Unordered), &[x, x])
    }

    /// `if x > y || x.is_nan() { x } else { y }` and its mirror image: NaN if either is.
    pub(super) fn extremum(&mut self, op: Op, x: Reg, y: Reg) -> Reg {
        let y = self.v(op, x, y);
        let nan = self.nan(x);
        self.blend(nan, y, x)
    }

    /// `x` between two bounds; NaN becomes the lower one.
    fn within(&mut self, x: Reg, low: f32, high: f32) -> Reg {
        let x = self.fv(Op::MaxF, x, low);
        self.fv(Op::MinF, x, high)
    }

    /// `x = k·ln 2 + r`: the integer `k`, as a float, and `r`.
    fn split(&mut self, x: Reg) -> (Reg, Reg) {
        let shift = 12_582_912.0f32;
        let scaled = self.fv(Op::MulF, x, std::f32::consts::LOG2_E);
        let shifted = self.fv(Op::AddF, scaled, shift);
        let k = self.fv(Op::SubF, shifted, shift);
        let high = self.fv(Op::MulF, k, 0.693_359_4);
        let low = self.fv(Op::MulF, k, -2.121_944_4e-4);
        let r = self.v(Op::SubF, x, high);
        let r = self.v(Op::SubF, r, low);
        (k, r)
    }

    /// `e^r - 1` for small `r`.
    fn expm1_small(&mut self, r: Reg) -> Reg {
        let mut p = self.float(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5f32] {
            p = self.v(Op::MulF, p, r);
            p = self.fv(Op::AddF, p, c);
        }
        let p = self.v(Op::MulF, p, r);
        let p = self.v(Op::MulF, p, r);
        self.v(Op::AddF, p, r)
    }

    fn keep_nan(&mut self, x: Reg, y: Reg) -> Reg {
        let nan = self.nan(x);
        self.blend(nan, y, x)
    }

    pub(super) fn exp(&mut self, x: Reg) -> Reg {
        let clamped = self.within(x, -104.0, 89.0);
        let (k, r) = self.split(clamped);
        let small = self.expm1_small(r);
        let one = self.float(1.0);
        let y = self.v(Op::AddF, one, small);
        let y = self.v(Op::ScaleF, y, k);
        self.keep_nan(x, y)
    }

    pub(super) fn expm1(&mut self, x: Reg) -> Reg {
        let clamped = self.within(x, -20.0, 89.0);
        let (k, r) = self.split(clamped);
        let small = self.expm1_small(r);
        let one = self.float(1.0);
        let zero = self.bits(0);
        let minus = self.negate(k);
        let least = self.v(Op::ScaleF, one, minus);
        let rest = self.v(Op::SubF, one, least);
        let y = self.v(Op::AddF, small, rest);
        let y = self.v(Op::ScaleF, y, k);
        let is_small = self.mask(Op::CmpF(Pred::Eq), &[k, zero]);
        let y = self.blend(is_small, y, small);
        let is_zero = self.mask(Op::CmpF(Pred::Eq), &[x, zero]);
        let y = self.blend(is_zero, y, x);
        self.keep_nan(x, y)
    }

    pub(super) fn logistic(&mut self, x: Reg) -> Reg {
        let minus = self.negate(x);
        let e = self.exp(minus);
        let one = self.float(1.0);
        let under = self.v(Op::AddF, one, e);
        self.v(Op::DivF, one, under)
    }

    pub(super) fn negate(&mut self, x: Reg) -> Reg {
        let sign = self.real(x, -0.0);
        self.v(Op::Xor, x, sign)
    }

    pub(super) fn abs(&mut self, x: Reg) -> Reg {
        let rest = if self.is_wide(x) { self.wide_bits(!0 >> 1) } else { self.bits(!0 >> 1) };
        self.v(Op::And, x, rest)
    }

    /// `log(x)`, or `log(x)` corrected by `c` for an `x` that represents `x·(1 + c)`. The formula is that of FreeBSD's
    /// `e_logf.c`: `log(2^k (1 + f)) = k ln 2 + f - f²/2 + s (f²/2 + R(s²))` with `s = f / (2 + f)`.
    fn log_of(&mut self, x: Reg, scale: Reg, c: Option<Reg>) -> Reg {
        let (start, low) = (self.bits(0x3f35_04f3), self.bits(0x007f_ffff));
        let ix = self.v(Op::SubI, x, start);
        let k = self.vec_imm(Op::SarImm, ix, 23);
        let k = self.v(Op::AddI, k, scale);
        let k = self.vec(Op::CvtToF, &[k]);
        let m = self.v(Op::And, ix, low);
        let m = self.v(Op::AddI, m, start);
        let f = self.fv(Op::SubF, m, 1.0);
        let two = self.float(2.0);
        let under = self.v(Op::AddF, two, f);
        let s = self.v(Op::DivF, f, under);
        let z = self.v(Op::MulF, s, s);
        let w = self.v(Op::MulF, z, z);
        let t1 = self.fv(Op::MulF, w, 0.242_790_79);
        let t1 = self.fv(Op::AddF, t1, 0.400_009_72);
        let t1 = self.v(Op::MulF, w, t1);
        let t2 = self.fv(Op::MulF, w, 0.284_987_87);
        let t2 = self.fv(Op::AddF, t2, 0.666_666_6);
        let t2 = self.v(Op::MulF, z, t2);
        let r = self.v(Op::AddF, t1, t2);
        let square = self.v(Op::MulF, f, f);
        let half = self.fv(Op::MulF, square, 0.5);
        let sum = self.v(Op::AddF, half, r);
        let sum = self.v(Op::MulF, s, sum);
        let mut tail = self.fv(Op::MulF, k, 9.058_001e-6);
        if let Some(c) = c {
            tail = self.v(Op::AddF, tail, c);
        }
        let sum = self.v(Op::AddF, sum, tail);
        let sum = self.v(Op::SubF, sum, half);
        let sum = self.v(Op::AddF, sum, f);
        let high = self.fv(Op::MulF, k, 0.693_138_1);
        self.v(Op::AddF, sum, high)
    }

    /// `y` for an ordinary positive number `x`; -∞ at 0, ∞ at ∞, NaN below and for NaN.
    fn log_ends(&mut self, x: Reg, y: Reg) -> Reg {
        let (zero, infinity) = (self.bits(0), self.float(f32::INFINITY));
        let is_zero = self.mask(Op::CmpF(Pred::Eq), &[x, zero]);
        let lowest = self.float(f32::NEG_INFINITY);
        let y = self.blend(is_zero, y, lowest);
        let is_infinite = self.mask(Op::CmpF(Pred::Eq), &[x, infinity]);
        let y = self.blend(is_infinite, y, infinity);
        let below = self.mask(Op::CmpF(Pred::Lt), &[x, zero]);
        let nan = self.float(f32::NAN);
        let y = self.blend(below, y, nan);
        self.keep_nan(x, y)
    }

    pub(super) fn log(&mut self, x: Reg) -> Reg {
        // Subnormal numbers are normalised first.
        let (least, zero) = (self.float(f32::MIN_POSITIVE), self.bits(0));
        let tiny = self.mask(Op::CmpF(Pred::Lt), &[x, least]);
        let larger = self.fv(Op::MulF, x, 8_388_608.0);
        let scaled = self.blend(tiny, x, larger);
        let less = self.bits(-23i32 as u32);
        let scale = self.blend(tiny, zero, less);
        let y = self.log_of(scaled, scale, None);
        self.log_ends(x, y)
    }

    pub(super) fn log1p(&mut self, x: Reg) -> Reg {
        let (one, zero) = (self.float(1.0), self.bits(0));
        let u = self.v(Op::AddF, one, x);
        // The rounding error of 1 + x, relative to it.
        let back = self.v(Op::SubF, u, one);
        let lost = self.v(Op::SubF, x, back);
        let c = self.v(Op::DivF, lost, u);
        let y = self.log_of(u, zero, Some(c));
        let y = self.log_ends(u, y);
        let size = self.abs(x);
        let limit = self.float(5.960_464_5e-8);
        let small = self.mask(Op::CmpF(Pred::Lt), &[size, limit]);
        let y = self.blend(small, y, x);
        self.keep_nan(x, y)
    }

    /// `tanh x` from `t = e^(±2|x|) - 1`: `1 - 2/(t+2)`, `t/(t+2)`, `-t/(t+2)` with `e^(-2|x|)`, by the size of `x`.
    pub(super) fn tanh(&mut self, x: Reg) -> Reg {
        let size = self.abs(x);
        let (large, middle) = (self.float(0.549_306_15), self.float(0.255_412_8));
        let is_large = self.mask(Op::CmpF(Pred::Gt), &[size, large]);
        let is_middle = self.mask(Op::CmpF(Pred::Gt), &[size, middle]);
        let twice = self.v(Op::AddF, size, size);
        let minus = self.negate(twice);
        let at = self.blend(is_middle, minus, twice);
        let t = self.expm1(at);
        let minus = self.negate(t);
        let (two, one) = (self.float(2.0), self.float(1.0));
        let over = self.blend(is_middle, minus, t);
        let over = self.blend(is_large, over, two);
        let under = self.v(Op::AddF, t, two);
        let q = self.v(Op::DivF, over, under);
        let rest = self.v(Op::SubF, one, q);
        let y = self.blend(is_large, q, rest);
        let sign = self.bits(0x8000_0000);
        let sign = self.v(Op::And, x, sign);
        let y = self.v(Op::Or, y, sign);
        let limit = self.float(1e-4);
        let tiny = self.mask(Op::CmpF(Pred::Lt), &[size, limit]);
        let y = self.blend(tiny, y, x);
        self.keep_nan(x, y)
    }

    pub(super) fn sign(&mut self, x: Reg) -> Reg {
        let (zero, one, minus) = (self.real(x, 0.0), self.real(x, 1.0), self.real(x, -1.0));
        let above = self.mask(Op::CmpF(Pred::Gt), &[x, zero]);
        let below = self.mask(Op::CmpF(Pred::Lt), &[x, zero]);
        let y = self.blend(above, x, one);
        self.blend(below, y, minus)
    }

    /// What `threefry2x32` adds between its rounds: the third key, and for each block of rounds a key with its number;
    /// at the end the parity that is not a key.
    fn schedule(&mut self, k0: Reg, k1: Reg) -> [Reg; 7] {
        let parity = self.bits(0x1BD1_1BDA);
        let k2 = self.v(Op::Xor, k0, k1);
        let k2 = self.v(Op::Xor, k2, parity);
        let keys = [k0, k1, k2];
        let numbered = |f: &mut Function, block: usize| {
            let number = f.bits(block as u32);
            f.v(Op::AddI, keys[(block + 1) % 3], number)
        };
        let numbered: [Reg; 5] = std::array::from_fn(|i| numbered(self, i + 1));
        [k2, numbered[0], numbered[1], numbered[2], numbered[3], numbered[4], parity]
    }

    /// Computes the schedule of keys here, for generators within inner loops.
    pub(super) fn spread_keys(&mut self, (k0, k1): (Reg, Reg)) {
        if !self.schedules.iter().any(|(keys, _)| *keys == (k0, k1)) {
            let schedule = self.schedule(k0, k1);
            self.schedules.push(((k0, k1), schedule));
        }
    }

    /// Both words of `threefry2x32` with 20 rounds.
    pub(super) fn threefry(&mut self, ins: &[Reg]) -> (Reg, Reg) {
        let [k0, k1, x0, x1] = ins else { unreachable!("threefry has four operands") };
        let known = self.schedules.iter().find(|(keys, _)| *keys == (*k0, *k1)).map(|(_, schedule)| *schedule);
        let [k2, numbered @ .., _] = known.unwrap_or_else(|| self.schedule(*k0, *k1));
        let keys = [*k0, *k1, k2];
        let mut a = self.v(Op::AddI, *x0, *k0);
        let mut b = self.v(Op::AddI, *x1, *k1);
        for block in 1..=5usize {
            let rounds = if block % 2 == 1 { [13, 15, 26, 6] } else { [17, 29, 16, 24] };
            for r in rounds {
                a = self.v(Op::AddI, a, b);
                b = self.vec_imm(Op::RolImm, b, r);
                b = self.v(Op::Xor, b, a);
            }
            a = self.v(Op::AddI, a, keys[block % 3]);
            b = self.v(Op::AddI, b, numbered[block - 1]);
        }
        (a, b)
    }

    /// A constant of the given bits, as a value of its type.
    pub(super) fn literal(&mut self, literal: Literal) -> Reg {
        match literal {
            Literal::F32(x) => self.float(x),
            Literal::F64(x) => self.wide_bits(x.to_bits()),
            Literal::I32(x) => self.bits(x as u32),
            Literal::U32(x) => self.bits(x),
            Literal::Bool(x) => self.first_lanes(if x { self.lanes } else { 0 }),
            _ => unreachable!("{NO_VECTORS}"),
        }
    }
}
