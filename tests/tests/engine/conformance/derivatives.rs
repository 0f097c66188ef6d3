//! The derivative rules: against differences, against each other, and in the types of their results.

use gavotte_core::aval::Aval;
use gavotte_core::ir::verify;
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::cases::{Modes, cases, check_derivatives, check_each_derivative, in_operands, is_linear};
use gavotte_tests::laws::{check_jvp, check_linearize, check_transpose, check_vjp};
use gavotte_tests::report::check_all;
use gavotte_tests::transformed::{jvp_program, vjp_program};

#[test]
fn jvp_agrees_with_differences() {
    check_each_derivative(Modes::Forward, |program, arrays| check_jvp(program, arrays, &mut Random::new(6)));
}

#[test]
fn vjp_is_the_adjoint_of_jvp() {
    check_each_derivative(Modes::Reverse, |program, arrays| check_vjp(program, arrays, &mut Random::new(7)));
}

/// A primitive can be transposed in whatever it is linear in: the rule itself, which `vjp` may never reach.
#[test]
fn transpose_is_the_adjoint_where_it_is_linear() {
    check_derivatives(Modes::Reverse, |program, arrays| {
        let mut random = Random::new(13);
        let floats: Vec<usize> = (0..arrays.len()).filter(|i| arrays[*i].dtype().is_float()).collect();
        for subset in 1usize..1 << floats.len() {
            let unknown: Vec<usize> =
                floats.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, operand)| *operand).collect();
            let (program, arrays) = in_operands(program, arrays, &unknown);
            if is_linear(&program, &arrays, &mut random) {
                check_transpose(&program, &arrays, &mut random).map_err(|why| format!("in {unknown:?}: {why}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn linearize_agrees_with_jvp() {
    check_each_derivative(Modes::Forward, |program, arrays| check_linearize(program, arrays, &mut Random::new(8)));
}

/// `jvp` and `vjp` of the gradient: the rules' own equations can be differentiated and transposed.
#[test]
fn second_order() {
    check_derivatives(Modes::Reverse, |program, arrays| {
        let mut random = Random::new(9);
        let gradient = vjp_program(program);
        let mut arrays = arrays.to_vec();
        for aval in gradient.args[arrays.len()..].iter().map(|binder| &binder.aval) {
            arrays.push(random_array(aval, &mut random));
        }
        check_jvp(&gradient, &arrays, &mut random)?;
        check_vjp(&gradient, &arrays, &mut random)
    });
}

/// In their own types the transformed programs are well formed and return tangents of the primals' types.
#[test]
fn derivatives_have_the_types_of_what_they_belong_to() {
    check_all(cases(), |case| {
        let program = case.program();
        let floats = |avals: Vec<Aval>| avals.into_iter().filter(|aval| aval.dtype.is_float()).collect::<Vec<_>>();
        let ins: Vec<Aval> = program.args.iter().map(|binder| binder.aval.clone()).collect();
        let outs = program.out_avals();
        let wanted = [[outs.clone(), floats(outs.clone())].concat(), [outs, floats(ins)].concat()];
        let transformed = [Some(jvp_program(&program)), case.is_reversed().then(|| vjp_program(&program))];
        for (transformed, wanted) in transformed.iter().flatten().zip(wanted) {
            verify(transformed).map_err(|error| error.to_string())?;
            if transformed.out_avals() != wanted {
                return Err(format!("returns {:?}, not {wanted:?}\n{transformed}", transformed.out_avals()));
            }
        }
        Ok(())
    });
}
