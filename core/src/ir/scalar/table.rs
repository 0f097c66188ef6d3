//! The table of scalar operations: a row has everything about an operation except its derivative, which its primitive
//! has.

/// Passes the whole table to a macro: the code generator whose loops are compiled for each row needs the formulas as
/// tokens; everything else reads [`Row`](super::Row).
///
/// A row of `functions` is an operation whose operands and result have one element type. Its head names the operands,
/// and states which types they may have, its cost and how it is counted, its accuracy, and its form in StableHLO. A
/// line per element type has the value, the formula of the portable target's loop if it differs, the expression in CUDA
/// C, and the vector code, or that machine code calls the loop. A type without a line does not have the operation.
/// Kernels, but not programs, may multiply and compare bools.
///
/// A row of `forms` is an operation with another signature. Each code generator handles each [`Form`](super::Form).
macro_rules! scalar_table {
    ($read:ident) => {
        $read! {
            functions {
                /// The sum.
                Add(x, y) = "add" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Op("add");
                    f32: x + y, cuda Text("{0} + {1}"), machine Code(FloatCode::Add);
                    f64: x + y, cuda Text("{0} + {1}"), machine Code(FloatCode::Add);
                    i32: x.wrapping_add(y), cuda Helper(CudaHelper::WrappingAdd), machine Code(IntCode::Add);
                    u32: x.wrapping_add(y), cuda Text("{0} + {1}"), machine Code(IntCode::Add);
                    i64: x.wrapping_add(y), cuda Helper(CudaHelper::WrappingAdd), machine Call;
                    u64: x.wrapping_add(y), cuda Text("{0} + {1}"), machine Call;
                }
                /// The difference.
                Sub(x, y) = "sub" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Op("subtract");
                    f32: x - y, cuda Text("{0} - {1}"), machine Code(FloatCode::Sub);
                    f64: x - y, cuda Text("{0} - {1}"), machine Code(FloatCode::Sub);
                    i32: x.wrapping_sub(y), cuda Helper(CudaHelper::WrappingSub), machine Code(IntCode::Sub);
                    u32: x.wrapping_sub(y), cuda Text("{0} - {1}"), machine Code(IntCode::Sub);
                    i64: x.wrapping_sub(y), cuda Helper(CudaHelper::WrappingSub), machine Call;
                    u64: x.wrapping_sub(y), cuda Text("{0} - {1}"), machine Call;
                }
                /// The product.
                Mul(x, y) = "mul" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Op("multiply");
                    f32: x * y, cuda Text("{0} * {1}"), machine Code(FloatCode::Mul);
                    f64: x * y, cuda Text("{0} * {1}"), machine Code(FloatCode::Mul);
                    i32: x.wrapping_mul(y), cuda Helper(CudaHelper::WrappingMul), machine Code(IntCode::Mul);
                    u32: x.wrapping_mul(y), cuda Text("{0} * {1}"), machine Code(IntCode::Mul);
                    i64: x.wrapping_mul(y), cuda Helper(CudaHelper::WrappingMul), machine Call;
                    u64: x.wrapping_mul(y), cuda Text("{0} * {1}"), machine Call;
                    bool: x & y, cuda Text("{0} && {1}"), machine BoolCode::And;
                }
                /// The quotient; all bits are set for an integer divided by zero.
                Div(x, y) = "div" {
                    takes Numbers, costs 5 Flop, accuracy Rounded, stablehlo Quotient("divide");
                    f32: x / y, cuda Text("{0} / {1}"), machine Code(FloatCode::Div);
                    f64: x / y, cuda Text("{0} / {1}"), machine Code(FloatCode::Div);
                    i32: if y == 0 { !0 } else { x.wrapping_div(y) }, cuda Helper(CudaHelper::Divide), machine Call;
                    u32: if y == 0 { !0 } else { x.wrapping_div(y) }, cuda Helper(CudaHelper::Divide), machine Call;
                    i64: if y == 0 { !0 } else { x.wrapping_div(y) }, cuda Helper(CudaHelper::Divide), machine Call;
                    u64: if y == 0 { !0 } else { x.wrapping_div(y) }, cuda Helper(CudaHelper::Divide), machine Call;
                }
                /// The remainder with the sign of the dividend; the dividend for an integer divided by zero.
                Rem(x, y) = "rem" {
                    takes Numbers, costs 5 Flop, accuracy Rounded, stablehlo Remainder("remainder");
                    f32: x % y, cuda Text("fmodf({0}, {1})"), machine Call;
                    f64: x % y, cuda Text("fmod({0}, {1})"), machine Call;
                    i32: if y == 0 { x } else { x.wrapping_rem(y) }, cuda Helper(CudaHelper::Remainder), machine Call;
                    u32: if y == 0 { x } else { x.wrapping_rem(y) }, cuda Helper(CudaHelper::Remainder), machine Call;
                    i64: if y == 0 { x } else { x.wrapping_rem(y) }, cuda Helper(CudaHelper::Remainder), machine Call;
                    u64: if y == 0 { x } else { x.wrapping_rem(y) }, cuda Helper(CudaHelper::Remainder), machine Call;
                }
                /// The larger one; NaN if either is NaN.
                Max(x, y) = "max" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Op("maximum");
                    f32: if x > y || x.is_nan() { x } else { y },
                        cuda Helper(CudaHelper::NanMax), machine Code(FloatCode::Max);
                    f64: if x > y || x.is_nan() { x } else { y },
                        cuda Helper(CudaHelper::NanMax), machine Code(FloatCode::Max);
                    i32: x.max(y), cuda Text("max({0}, {1})"), machine Code(IntCode::Max);
                    u32: x.max(y), cuda Text("max({0}, {1})"), machine Code(IntCode::Max);
                    i64: x.max(y), cuda Text("max({0}, {1})"), machine Call;
                    u64: x.max(y), cuda Text("max({0}, {1})"), machine Call;
                    bool: x | y, cuda Text("{0} || {1}"), machine BoolCode::Or;
                }
                /// The smaller one; NaN if either is NaN.
                Min(x, y) = "min" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Op("minimum");
                    f32: if x < y || x.is_nan() { x } else { y },
                        cuda Helper(CudaHelper::NanMin), machine Code(FloatCode::Min);
                    f64: if x < y || x.is_nan() { x } else { y },
                        cuda Helper(CudaHelper::NanMin), machine Code(FloatCode::Min);
                    i32: x.min(y), cuda Text("min({0}, {1})"), machine Code(IntCode::Min);
                    u32: x.min(y), cuda Text("min({0}, {1})"), machine Code(IntCode::Min);
                    i64: x.min(y), cuda Text("min({0}, {1})"), machine Call;
                    u64: x.min(y), cuda Text("min({0}, {1})"), machine Call;
                    bool: x & y, cuda Text("{0} && {1}"), machine BoolCode::And;
                }
                /// `x` to the power `y`.
                Pow(x, y) = "pow" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Op("power");
                    f32: x.powf(y), cuda Text("powf({0}, {1})"), machine Call;
                    f64: x.powf(y), cuda Text("pow({0}, {1})"), machine Call;
                }
                /// The angle of the point `(x, y)`, from -π to π; the signs of zeros say on which side of an axis it
                /// lies.
                Atan2(y, x) = "atan2" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Op("atan2");
                    f32: y.atan2(x), cuda Text("atan2f({0}, {1})"), machine Call;
                    f64: y.atan2(x), cuda Text("atan2({0}, {1})"), machine Call;
                }
                /// The negative.
                Neg(x) = "neg" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Op("negate");
                    f32: -x, cuda Text("-{0}"), machine Code(FloatCode::Neg);
                    f64: -x, cuda Text("-{0}"), machine Code(FloatCode::Neg);
                    i32: x.wrapping_neg(), cuda Helper(CudaHelper::WrappingNeg), machine Code(IntCode::Neg);
                    u32: x.wrapping_neg(), cuda Text("0u - {0}"), machine Code(IntCode::Neg);
                    i64: x.wrapping_neg(), cuda Helper(CudaHelper::WrappingNeg), machine Call;
                    u64: x.wrapping_neg(), cuda Text("0ull - {0}"), machine Call;
                }
                /// The absolute value.
                Abs(x) = "abs" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Abs;
                    f32: x.abs(), cuda Text("fabsf({0})"), machine Code(FloatCode::Abs);
                    f64: x.abs(), cuda Text("fabs({0})"), machine Code(FloatCode::Abs);
                    i32: x.wrapping_abs(), cuda Helper(CudaHelper::WrappingAbs), machine Code(IntCode::Abs);
                    u32: x, cuda Text("{0}"), machine Code(IntCode::Abs);
                    i64: x.wrapping_abs(), cuda Helper(CudaHelper::WrappingAbs), machine Call;
                    u64: x, cuda Text("{0}"), machine Call;
                }
                /// -1, 0 or 1; a zero for that zero, NaN for NaN.
                Sign(x) = "sign" {
                    takes Numbers, costs 1 Flop, accuracy Rounded, stablehlo Sign;
                    f32: if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x },
                        cuda Helper(CudaHelper::Sign), machine Code(FloatCode::Sign);
                    f64: if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x },
                        cuda Helper(CudaHelper::Sign), machine Code(FloatCode::Sign);
                    i32: x.signum(), cuda Text("({0} > 0) - ({0} < 0)"), machine Code(IntCode::Sign);
                    u32: u32::from(x > 0), cuda Text("{0} > 0u ? 1u : 0u"), machine Code(IntCode::Sign);
                    i64: x.signum(), cuda Text("(long long)({0} > 0) - ({0} < 0)"), machine Call;
                    u64: u64::from(x > 0), cuda Text("{0} > 0ull ? 1ull : 0ull"), machine Call;
                }
                /// The largest whole number that is not greater than `x`.
                Floor(x) = "floor" {
                    takes Floats, costs 1 Flop, accuracy Rounded, stablehlo Op("floor");
                    f32: x.floor(), cuda Text("floorf({0})"), machine Code(FloatCode::Floor);
                    f64: x.floor(), cuda Text("floor({0})"), machine Code(FloatCode::Floor);
                }
                /// The smallest whole number that is not less than `x`.
                Ceil(x) = "ceil" {
                    takes Floats, costs 1 Flop, accuracy Rounded, stablehlo Op("ceil");
                    f32: x.ceil(), cuda Text("ceilf({0})"), machine Code(FloatCode::Ceil);
                    f64: x.ceil(), cuda Text("ceil({0})"), machine Code(FloatCode::Ceil);
                }
                /// The nearest whole number, of two the even one.
                Round(x) = "round" {
                    takes Floats, costs 1 Flop, accuracy Rounded, stablehlo Op("round_nearest_even");
                    f32: x.round_ties_even(), cuda Text("rintf({0})"), machine Code(FloatCode::Nearest);
                    f64: x.round_ties_even(), cuda Text("rint({0})"), machine Code(FloatCode::Nearest);
                }
                /// The whole number next to `x` on the side of zero.
                Trunc(x) = "trunc" {
                    takes Floats, costs 1 Flop, accuracy Rounded, stablehlo Truncate;
                    f32: x.trunc(), cuda Text("truncf({0})"), machine Code(FloatCode::Trunc);
                    f64: x.trunc(), cuda Text("trunc({0})"), machine Code(FloatCode::Trunc);
                }
                /// The square root.
                Sqrt(x) = "sqrt" {
                    takes Floats, costs 5 Transcendental, accuracy Rounded, stablehlo Op("sqrt");
                    f32: x.sqrt(), cuda Text("sqrtf({0})"), machine Code(FloatCode::Sqrt);
                    f64: x.sqrt(), cuda Text("sqrt({0})"), machine Code(FloatCode::Sqrt);
                }
                /// `eˣ`.
                Exp(x) = "exp" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo Op("exponential");
                    f32: x.exp(), loop math::exp(x), cuda Text("expf({0})"), machine Code(FloatCode::Exp);
                    f64: x.exp(), cuda Text("exp({0})"), machine Call;
                }
                /// `eˣ - 1`.
                Expm1(x) = "expm1" {
                    takes Floats, costs 20 Transcendental, accuracy Within(3.0), stablehlo Op("exponential_minus_one");
                    f32: x.exp_m1(), loop math::expm1(x), cuda Text("expm1f({0})"), machine Code(FloatCode::Expm1);
                    f64: x.exp_m1(), cuda Text("expm1({0})"), machine Call;
                }
                /// The natural logarithm.
                Log(x) = "log" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo Op("log");
                    f32: x.ln(), cuda Text("logf({0})"), machine Code(FloatCode::Log);
                    f64: x.ln(), cuda Text("log({0})"), machine Call;
                }
                /// `log(1 + x)`.
                Log1p(x) = "log1p" {
                    takes Floats, costs 20 Transcendental, accuracy Within(3.0), stablehlo Op("log_plus_one");
                    f32: x.ln_1p(), cuda Text("log1pf({0})"), machine Code(FloatCode::Log1p);
                    f64: x.ln_1p(), cuda Text("log1p({0})"), machine Call;
                }
                /// The sine.
                Sin(x) = "sin" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Op("sine");
                    f32: x.sin(), cuda Text("sinf({0})"), machine Call;
                    f64: x.sin(), cuda Text("sin({0})"), machine Call;
                }
                /// The cosine.
                Cos(x) = "cos" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Op("cosine");
                    f32: x.cos(), cuda Text("cosf({0})"), machine Call;
                    f64: x.cos(), cuda Text("cos({0})"), machine Call;
                }
                /// The hyperbolic tangent.
                Tanh(x) = "tanh" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo Op("tanh");
                    f32: x.tanh(), cuda Text("tanhf({0})"), machine Code(FloatCode::Tanh);
                    f64: x.tanh(), cuda Text("tanh({0})"), machine Call;
                }
                /// `2ˣ`.
                Exp2(x) = "exp2" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo PowerOfTwo;
                    f32: x.exp2(), cuda Text("exp2f({0})"), machine Call;
                    f64: x.exp2(), cuda Text("exp2({0})"), machine Call;
                }
                /// The logarithm to base 2.
                Log2(x) = "log2" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo Log(2.0);
                    f32: x.log2(), cuda Text("log2f({0})"), machine Call;
                    f64: x.log2(), cuda Text("log2({0})"), machine Call;
                }
                /// The logarithm to base 10.
                Log10(x) = "log10" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo Log(10.0);
                    f32: x.log10(), cuda Text("log10f({0})"), machine Call;
                    f64: x.log10(), cuda Text("log10({0})"), machine Call;
                }
                /// The cube root.
                Cbrt(x) = "cbrt" {
                    takes Floats, costs 20 Transcendental, accuracy Within(2.0), stablehlo Op("cbrt");
                    f32: x.cbrt(), cuda Text("cbrtf({0})"), machine Call;
                    f64: x.cbrt(), cuda Text("cbrt({0})"), machine Call;
                }
                /// The tangent.
                Tan(x) = "tan" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Op("tan");
                    f32: x.tan(), cuda Text("tanf({0})"), machine Call;
                    f64: x.tan(), cuda Text("tan({0})"), machine Call;
                }
                /// The angle whose sine is `x`, from -π/2 to π/2.
                Asin(x) = "asin" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.asin");
                    f32: x.asin(), cuda Text("asinf({0})"), machine Call;
                    f64: x.asin(), cuda Text("asin({0})"), machine Call;
                }
                /// The angle whose cosine is `x`, from 0 to π.
                Acos(x) = "acos" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.acos");
                    f32: x.acos(), cuda Text("acosf({0})"), machine Call;
                    f64: x.acos(), cuda Text("acos({0})"), machine Call;
                }
                /// The angle whose tangent is `x`, from -π/2 to π/2.
                Atan(x) = "atan" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.atan");
                    f32: x.atan(), cuda Text("atanf({0})"), machine Call;
                    f64: x.atan(), cuda Text("atan({0})"), machine Call;
                }
                /// The hyperbolic sine.
                Sinh(x) = "sinh" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.sinh");
                    f32: x.sinh(), cuda Text("sinhf({0})"), machine Call;
                    f64: x.sinh(), cuda Text("sinh({0})"), machine Call;
                }
                /// The hyperbolic cosine.
                Cosh(x) = "cosh" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.cosh");
                    f32: x.cosh(), cuda Text("coshf({0})"), machine Call;
                    f64: x.cosh(), cuda Text("cosh({0})"), machine Call;
                }
                /// The number whose hyperbolic sine is `x`.
                Asinh(x) = "asinh" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.asinh");
                    f32: libm::asinhf(x), cuda Text("asinhf({0})"), machine Call;
                    f64: libm::asinh(x), cuda Text("asinh({0})"), machine Call;
                }
                /// The number, not negative, whose hyperbolic cosine is `x`.
                Acosh(x) = "acosh" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.acosh");
                    f32: if x < 1.0 { f32::NAN } else { libm::acoshf(x) }, cuda Text("acoshf({0})"), machine Call;
                    f64: if x < 1.0 { f64::NAN } else { libm::acosh(x) }, cuda Text("acosh({0})"), machine Call;
                }
                /// The number whose hyperbolic tangent is `x`.
                Atanh(x) = "atanh" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.atanh");
                    f32: libm::atanhf(x), cuda Text("atanhf({0})"), machine Call;
                    f64: libm::atanh(x), cuda Text("atanh({0})"), machine Call;
                }
                /// The error function.
                Erf(x) = "erf" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.erf");
                    f32: libm::erff(x), cuda Text("erff({0})"), machine Call;
                    f64: libm::erf(x), cuda Text("erf({0})"), machine Call;
                }
                /// `1 - erf x`, precise where the difference is small.
                Erfc(x) = "erfc" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Chlo("chlo.erfc");
                    f32: libm::erfcf(x), cuda Text("erfcf({0})"), machine Call;
                    f64: libm::erfc(x), cuda Text("erfc({0})"), machine Call;
                }
                /// `1 / (1 + e⁻ˣ)`.
                Logistic(x) = "logistic" {
                    takes Floats, costs 20 Transcendental, accuracy Within(4.0), stablehlo Op("logistic");
                    f32: 1.0 / (1.0 + (-x).exp()), loop math::logistic(x),
                        cuda Helper(CudaHelper::Logistic), machine Code(FloatCode::Logistic);
                    f64: 1.0 / (1.0 + (-x).exp()), cuda Helper(CudaHelper::Logistic), machine Call;
                }
                /// The bits set in both.
                And(x, y) = "and" {
                    takes Bits, costs 1 Free, accuracy Rounded, stablehlo Op("and");
                    i32: x & y, cuda Text("{0} & {1}"), machine Code(IntCode::And);
                    u32: x & y, cuda Text("{0} & {1}"), machine Code(IntCode::And);
                    i64: x & y, cuda Text("{0} & {1}"), machine Call;
                    u64: x & y, cuda Text("{0} & {1}"), machine Call;
                    bool: x & y, cuda Text("{0} && {1}"), machine BoolCode::And;
                }
                /// The bits set in either.
                Or(x, y) = "or" {
                    takes Bits, costs 1 Free, accuracy Rounded, stablehlo Op("or");
                    i32: x | y, cuda Text("{0} | {1}"), machine Code(IntCode::Or);
                    u32: x | y, cuda Text("{0} | {1}"), machine Code(IntCode::Or);
                    i64: x | y, cuda Text("{0} | {1}"), machine Call;
                    u64: x | y, cuda Text("{0} | {1}"), machine Call;
                    bool: x | y, cuda Text("{0} || {1}"), machine BoolCode::Or;
                }
                /// The bits set in exactly one.
                Xor(x, y) = "xor" {
                    takes Bits, costs 1 Free, accuracy Rounded, stablehlo Op("xor");
                    i32: x ^ y, cuda Text("{0} ^ {1}"), machine Code(IntCode::Xor);
                    u32: x ^ y, cuda Text("{0} ^ {1}"), machine Code(IntCode::Xor);
                    i64: x ^ y, cuda Text("{0} ^ {1}"), machine Call;
                    u64: x ^ y, cuda Text("{0} ^ {1}"), machine Call;
                    bool: x ^ y, cuda Text("{0} != {1}"), machine BoolCode::Xor;
                }
                /// The inverted bits.
                Not(x) = "not" {
                    takes Bits, costs 1 Free, accuracy Rounded, stablehlo Op("not");
                    i32: !x, cuda Text("~{0}"), machine Code(IntCode::Not);
                    u32: !x, cuda Text("~{0}"), machine Code(IntCode::Not);
                    i64: !x, cuda Text("~{0}"), machine Call;
                    u64: !x, cuda Text("~{0}"), machine Call;
                    bool: !x, cuda Text("!{0}"), machine BoolCode::Not;
                }
                /// The number of bits that are set.
                PopulationCount(x) = "population_count" {
                    takes LongInts, costs 1 Free, accuracy Rounded, stablehlo Op("popcnt");
                    i32: x.count_ones() as i32, cuda Text("__popc({0})"), machine Call;
                    u32: x.count_ones(), cuda Text("(unsigned)__popc({0})"), machine Call;
                    i64: x.count_ones() as i64, cuda Text("(long long)__popcll({0})"), machine Call;
                    u64: x.count_ones().into(), cuda Text("(unsigned long long)__popcll({0})"), machine Call;
                }
                /// The number of bits above the highest that is set; all for 0.
                Clz(x) = "clz" {
                    takes LongInts, costs 1 Free, accuracy Rounded, stablehlo OfWord("count_leading_zeros");
                    i32: x.leading_zeros() as i32, cuda Text("__clz({0})"), machine Call;
                    u32: x.leading_zeros(), cuda Text("(unsigned)__clz({0})"), machine Call;
                    i64: x.leading_zeros() as i64, cuda Text("(long long)__clzll({0})"), machine Call;
                    u64: x.leading_zeros().into(), cuda Text("(unsigned long long)__clzll({0})"), machine Call;
                }
                /// Shift left; the result is 0 for a distance of the width or more, and for a negative one.
                Shl(x, y) = "shift_left" {
                    takes Ints, costs 1 Free, accuracy Rounded, stablehlo Shift("shift_left");
                    i32: x.checked_shl(y as u32).unwrap_or(0),
                        cuda Helper(CudaHelper::ShiftLeft), machine Code(IntCode::Shl);
                    u32: x.checked_shl(y).unwrap_or(0),
                        cuda Helper(CudaHelper::ShiftLeft), machine Code(IntCode::Shl);
                    i64: u32::try_from(y).ok().and_then(|y| x.checked_shl(y)).unwrap_or(0),
                        cuda Helper(CudaHelper::ShiftLeft), machine Call;
                    u64: u32::try_from(y).ok().and_then(|y| x.checked_shl(y)).unwrap_or(0),
                        cuda Helper(CudaHelper::ShiftLeft), machine Call;
                }
                /// Logical shift right; the result is 0 for a distance of the width or more, and for a negative one.
                Shr(x, y) = "shift_right" {
                    takes LongInts, costs 1 Free, accuracy Rounded, stablehlo Shift("shift_right_logical");
                    i32: (x as u32).checked_shr(y as u32).unwrap_or(0) as i32,
                        cuda Helper(CudaHelper::ShiftRight), machine Code(IntCode::Shr);
                    u32: x.checked_shr(y).unwrap_or(0),
                        cuda Helper(CudaHelper::ShiftRight), machine Code(IntCode::Shr);
                    i64: u32::try_from(y).ok().and_then(|y| (x as u64).checked_shr(y)).unwrap_or(0) as i64,
                        cuda Helper(CudaHelper::ShiftRight), machine Call;
                    u64: u32::try_from(y).ok().and_then(|y| x.checked_shr(y)).unwrap_or(0),
                        cuda Helper(CudaHelper::ShiftRight), machine Call;
                }
            }
            forms {
                /// `x = y`.
                Eq = "eq" { takes Any, costs 1 Free, form Form::Comparison(Comparison::Eq) }
                /// `x ≠ y`.
                Ne = "ne" { takes Any, costs 1 Free, form Form::Comparison(Comparison::Ne) }
                /// `x < y`.
                Lt = "lt" { takes Numbers, costs 1 Free, form Form::Comparison(Comparison::Lt) }
                /// `x ≤ y`.
                Le = "le" { takes Numbers, costs 1 Free, form Form::Comparison(Comparison::Le) }
                /// `x > y`.
                Gt = "gt" { takes Numbers, costs 1 Free, form Form::Comparison(Comparison::Gt) }
                /// `x ≥ y`.
                Ge = "ge" { takes Numbers, costs 1 Free, form Form::Comparison(Comparison::Ge) }
                /// `select(which, when_false, when_true)`.
                Select = "select" { takes Any, costs 1 Free, form Form::Select }
                /// Conversion like Rust's `as`: floats to integers truncate and saturate; to `bool` is `x != 0`.
                Convert(to: DType = DType::F32) = "convert" { takes Any, costs 1 Free, form Form::Convert(to) }
                /// The same bits as another type of the same width.
                Bitcast(to: DType = DType::F32) = "bitcast" { takes Any, costs 1 Free, form Form::Bitcast(to) }
                /// First word of `threefry2x32(k0, k1, x0, x1)`.
                Threefry0 = "threefry0" { takes Words, costs 100 Free, form Form::Threefry(0) }
                /// Second word of `threefry2x32(k0, k1, x0, x1)`.
                Threefry1 = "threefry1" { takes Words, costs 100 Free, form Form::Threefry(1) }
            }
        }
    };
}

pub(crate) use scalar_table;
