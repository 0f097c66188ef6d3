//! Functions of arrays that NumPy has.

use super::{functions, positive, real};
use crate::functions::Operand::{Bools, Edges, Ints};

functions! {
    smooth mean(x) = x.mean(()), [real(&[3, 4])], [real(&[1])];
    smooth mean_0(x) = x.mean(0), [real(&[3, 4])], [real(&[2, 0])];
    smooth prod(x) = x.prod(()), [real(&[3, 4])], [Ints(-9, 9, &[7])];
    smooth prod_1(x) = x.prod_keepdims(1), [real(&[3, 5])], [real(&[2, 0])];
    smooth max(x) = x.max(()), [real(&[3, 4])], [Edges(&[24])], [Ints(-9, 9, &[7])];
    smooth min(x) = x.min(()), [real(&[3, 4])], [Edges(&[24])], [Ints(-9, 9, &[7])];
    smooth min_0(x) = x.min_keepdims(0), [real(&[3, 4])], [Bools(&[2, 5])], [real(&[2, 0])];
    exact any(x) = x.any(()), [Bools(&[7])], [real(&[0])], [Edges(&[12])];
    exact any_1(x) = x.any_keepdims(1), [Bools(&[5, 3])], [Ints(-1, 2, &[5, 3])], [Bools(&[3, 0])];
    exact all(x) = x.all(()), [Bools(&[7])], [real(&[0])], [Edges(&[12])];
    exact all_1(x) = x.all_keepdims(1), [Bools(&[5, 3])], [Ints(-1, 2, &[5, 3])], [Bools(&[3, 0])];
    exact argmax(x) = x.argmax(-1), [real(&[3, 4])], [Edges(&[24])], [Ints(0, 3, &[4, 9])], [real(&[0, 3])];
    exact argmin(x) = x.argmin(0), [real(&[3, 4])], [Edges(&[24])], [Ints(0, 3, &[9, 4])], [real(&[3, 0])];
    exact clip(x) = x.clip(-1.0, 1.5), [real(&[3, 4])], [Edges(&[12])];
    smooth power(x, y) = x.pow(y), [positive(&[5]), real(&[5])];
    exact maximum(x, y) = x.maximum(y), [Edges(&[24]), Edges(&[24])], [Ints(-9, 9, &[7]), Ints(-9, 9, &[7])];
}
