//! `einsum` in its notations.

use super::{functions, real};
use crate::functions::Operand::{Edges, Ints};
use gavotte::*;

functions! {
    smooth einsum_dot(a, b) = einsum("i,i", &[a, b]), [real(&[3]), real(&[3])], [real(&[0]), real(&[0])],
        [Ints(-9, 9, &[4]), Ints(-9, 9, &[4])];
    smooth einsum_product(a, b) = einsum("ij,jk", &[a, b]), [real(&[2, 3]), real(&[3, 4])],
        [real(&[2, 0]), real(&[0, 4])], [Ints(-9, 9, &[2, 3]), Ints(-9, 9, &[3, 2])], [real(&[2, 1]), real(&[3, 4])];
    smooth einsum_outer(a, b) = einsum("i,jk->kij", &[a, b]), [real(&[2]), real(&[3, 4])],
        [Edges(&[12]), Edges(&[2, 12])];
    smooth einsum_batches(a, b) = einsum("b i j, b j k -> b i k", &[a, b]), [real(&[2, 3, 4]), real(&[2, 4, 5])],
        [real(&[1, 3, 4]), real(&[2, 4, 5])];
    smooth einsum_rows(a, b) = einsum("ij,ij->i", &[a, b]), [real(&[3, 4]), real(&[3, 4])],
        [real(&[3, 1]), real(&[1, 4])];
    smooth einsum_elements(a, b) = einsum("ij,ji->ij", &[a, b]), [real(&[3, 4]), real(&[4, 3])];
    smooth einsum_transpose(x) = einsum("ba", &[x]), [real(&[2, 3])], [real(&[0, 3])], [Ints(-9, 9, &[2, 3])];
    smooth einsum_sum(x) = einsum("ijk->j", &[x]), [real(&[2, 3, 4])], [Ints(-9, 9, &[2, 3, 2])], [real(&[2, 3, 0])];
    smooth einsum_trace(x) = einsum("ii", &[x]), [real(&[3, 3])], [real(&[0, 0])], [Ints(-9, 9, &[3, 3])];
    smooth einsum_diagonal(x) = einsum("ijikj->jki", &[x]), [real(&[2, 3, 2, 4, 3])];
    smooth einsum_thrice(x, y) = einsum("iii,ij->ij", &[x, y]), [real(&[3, 3, 3]), real(&[3, 2])],
        [real(&[1, 1, 1]), real(&[3, 2])];
    smooth einsum_alone(a, b) = einsum("ij,kl->ik", &[a, b]), [real(&[2, 3]), real(&[4, 2])],
        [real(&[2, 3]), real(&[4, 0])];
    smooth einsum_unnamed(a, b) = einsum("...ij,...jk->...ik", &[a, b]), [real(&[5, 2, 3]), real(&[5, 3, 4])],
        [real(&[2, 1, 2, 3]), real(&[5, 3, 4])], [real(&[2, 3]), real(&[5, 3, 4])],
        [real(&[1, 2, 3]), real(&[0, 3, 4])];
    smooth einsum_unnamed_implied(a, b) = einsum("i...,...i", &[a, b]), [real(&[3, 2, 4]), real(&[2, 4, 3])],
        [real(&[3, 2, 1]), real(&[4, 3])], [real(&[3]), real(&[3])];
    smooth einsum_unnamed_middle(x) = einsum("a...b->b...a", &[x]), [real(&[2, 3, 4, 5])], [real(&[2, 3])];
    smooth einsum_upper(a, b) = einsum("bA,aB", &[a, b]), [real(&[2, 3]), real(&[4, 1])];
    smooth einsum_three(a, b, c) = einsum("ab,bc,cd->ad", &[a, b, c]), [real(&[2, 3]), real(&[3, 4]), real(&[4, 5])],
        [real(&[5, 4]), real(&[4, 3]), real(&[3, 2])],
        [Ints(-5, 5, &[2, 3]), Ints(-5, 5, &[3, 2]), Ints(-5, 5, &[2, 2])];
    smooth einsum_form(x, m, y) = einsum("i,ij,j->", &[x, m, y]), [real(&[3]), real(&[3, 4]), real(&[4])];
    smooth einsum_star(a, b, c) = einsum("ai,aj,ak->ijk", &[a, b, c]), [real(&[4, 2]), real(&[4, 3]), real(&[4, 5])];
    smooth einsum_four(a, b, c, d) = einsum("bhq,bhk,hqd,kd->bhd", &[a, b, c, d]),
        [real(&[2, 2, 3]), real(&[2, 2, 4]), real(&[2, 3, 2]), real(&[4, 2])];
    smooth einsum_scalar(a, x) = einsum(",ij->j", &[a, x]), [real(&[]), real(&[2, 3])];
}
