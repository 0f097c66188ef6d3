//! Special functions.

use super::{functions, positive, real};
use crate::functions::Operand::{Between, Edges};
use gavotte::*;

functions! {
    smooth special_erf(x) = special::erf(x), [Edges(&[12])], [Between(-6.0, 6.0, &[30])];
    smooth special_erfc(x) = special::erfc(x), [Edges(&[12])], [Between(-6.0, 6.0, &[30])];
    smooth expit(x) = special::expit(x), [Edges(&[12])], [Between(-6.0, 6.0, &[30])], [Between(-90.0, 40.0, &[20])];
    smooth logit(p) = special::logit(p), [Edges(&[12])], [Between(0.01, 0.99, &[20])], [Between(0.45, 0.55, &[20])],
        [Between(1e-30, 1e-20, &[5])];
    smooth entr(x) = special::entr(x), [Edges(&[12])], [positive(&[9])], [Between(0.9, 1.1, &[9])], [real(&[0])];
    smooth xlogy(x, y) = special::xlogy(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), positive(&[4])];
    smooth xlog1py(x, y) = special::xlog1py(x, y), [Edges(&[48]), Edges(&[48])], [real(&[3, 4]), positive(&[4])],
        [real(&[9]), Between(-1e-6, 1e-6, &[9])];
    exact rel_entr_edges(p, q) = special::rel_entr(p, q), [Edges(&[48]), Edges(&[48])];
    smooth rel_entr(p, q) = special::rel_entr(p, q), [positive(&[3, 4]), positive(&[4])],
        [Between(0.99, 1.01, &[9]), Between(0.99, 1.01, &[9])];
    smooth kl_div(p, q) = special::kl_div(p, q), [positive(&[3, 4]), positive(&[4])],
        [Between(0.99, 1.01, &[9]), Between(0.99, 1.01, &[9])];
    smooth erfinv(x) = special::erfinv(x), [Edges(&[12])], [Between(-0.999, 0.999, &[40])], [Between(0.99999, 1.0, &[9])];
    smooth ndtr(x) = special::ndtr(x), [Edges(&[12])], [Between(-6.0, 6.0, &[30])], [Between(-12.0, -3.0, &[20])];
    smooth log_ndtr(x) = special::log_ndtr(x), [Between(-6.0, 6.0, &[30])], [Between(-15.0, -8.0, &[20])],
        [Between(-80.0, -50.0, &[9])];
    smooth ndtri(p) = special::ndtri(p), [Edges(&[12])], [Between(0.01, 0.99, &[20])], [Between(1e-30, 1e-12, &[9])];
    // The derivatives of these are compared with mpmath's: JAX compiles them for minutes.
    exact gammaln(x) = special::gammaln(x), [Edges(&[12])], [Between(0.1, 30.0, &[20])], [Between(-0.9, -0.1, &[9])];
    exact digamma(x) = special::digamma(x), [Between(0.1, 30.0, &[20])], [Between(-0.9, -0.1, &[9])];
    exact polygamma_1(x) = special::polygamma(1.0, x), [Between(0.1, 30.0, &[20])];
    exact polygamma_2(x) = special::polygamma(2.0, x), [Between(0.1, 30.0, &[20])];
    exact zeta_3(q) = special::zeta(3.0, q), [Between(0.1, 30.0, &[20])];
    exact gamma(x) = special::gamma(x), [Between(0.1, 12.0, &[20])], [Between(-0.9, -0.1, &[9])];
    exact factorial(x) = special::factorial(x), [Between(0.1, 12.0, &[20])], [Between(-3.0, -0.1, &[9])];
    exact beta(a, b) = special::beta(a, b), [Between(0.1, 12.0, &[20]), Between(0.1, 30.0, &[20])];
    exact betaln(a, b) = special::betaln(a, b), [Between(0.1, 12.0, &[20]), Between(0.1, 30.0, &[20])];
    exact multigammaln_3(x) = special::multigammaln(x, 3), [Between(1.5, 30.0, &[20])];
    exact i0(x) = special::i0(x), [Between(-12.0, 12.0, &[30])];
    exact i0e(x) = special::i0e(x), [Between(-12.0, 12.0, &[30])];
    exact i1(x) = special::i1(x), [Between(-12.0, 12.0, &[30])];
    exact i1e(x) = special::i1e(x), [Between(-12.0, 12.0, &[30])];
    exact exp1(x) = special::exp1(x), [Between(0.1, 12.0, &[30])];
    exact expi(x) = special::expi(x), [Between(0.5, 12.0, &[20])], [Between(-12.0, -0.1, &[20])];
    exact spence(x) = special::spence(x), [Between(0.1, 0.8, &[20])], [Between(1.2, 12.0, &[20])];
}
