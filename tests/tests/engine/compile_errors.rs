//! Compiler errors that users see: each mistake is reported once, and the error says what to do.

use gavotte_tests::rustc::{compile_user_crate, reported};

/// The only error of a crate, with all its notes.
#[track_caller]
fn one_error(source: &str) -> String {
    let said = compile_user_crate("gavotte", source);
    assert_eq!(reported(&said).len(), 1, "{said}");
    said
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
}

const USER: &str = "
    use NAME::{Array, Tree, grad, jit};
    #[derive(Tree, Clone)]
    pub struct Model<T> { pub w: Array, pub rest: Vec<T>, #[tree(static)] pub slope: f32 }
    #[derive(Tree, Clone)]
    pub enum Layer { Dense { model: Model<Array> }, Skip }
    pub fn slopes(layer: Layer, x: Array) -> Layer {
        jit(grad(|layer: Layer, x: Array| match layer {
            Layer::Dense { model } => (model.w * x).sum(()),
            Layer::Skip => x.sum(()),
        }))(layer, x)
    }";

#[test]
fn one_dependency_is_enough_under_any_name() {
    for name in ["gavotte", "arrays"] {
        assert_eq!(compile_user_crate(name, &USER.replace("NAME", name)), "");
    }
}

#[test]
fn an_attribute_names_the_crate() {
    let source = "
        pub mod prelude { pub use arrays as gavotte; }
        #[derive(prelude::gavotte::Tree)]
        #[tree(crate = prelude::gavotte)]
        pub struct Model { pub w: prelude::gavotte::Array, #[tree(static)] pub n: usize }";
    assert_eq!(compile_user_crate("arrays", source), "");
}

#[test]
fn a_plain_field_is_told_to_be_static() {
    for (ty, generics) in [("f32", ""), ("String", ""), ("f64", "<T>")] {
        let marker = if generics.is_empty() { "" } else { "pub x: Vec<T>," };
        let said = one_error(&format!("#[derive(gavotte::Tree)] pub struct M{generics} {{ {marker} pub rate: {ty} }}"));
        says(&said, &[&format!("`{ty}` is not a tree of arrays"), "#[tree(static)]", "by their bits"]);
    }
    let expanded = "macro_rules! number { () => { u16 } } #[derive(gavotte::Tree)] pub struct M { pub n: number!() }";
    says(&one_error(expanded), &["`u16` is not a tree of arrays", "#[tree(static)]"]);
    let said = one_error("#[derive(gavotte::Tree)] pub enum M { A(gavotte::Array), B { n: usize } }");
    says(&said, &["`usize` is not a tree of arrays", "#[tree(static)]"]);
}

#[test]
fn a_static_field_is_told_what_it_lacks() {
    let of = |derived: &str, ty: &str| {
        let fields = format!("pub w: gavotte::Array, #[tree(static)] pub setting: {ty}");
        format!("#[derive({derived})] pub struct S(f32); #[derive(gavotte::Tree)] pub struct M {{ {fields} }}")
    };
    for (derived, ty) in
        [("Clone, PartialEq, Debug", "S"), ("Debug", "S"), ("Clone, Debug", "(S, f32)"), ("Clone", "gavotte::Array")]
    {
        let said = one_error(&of(derived, ty));
        says(&said, &["cannot be a static field of a tree", "`Eq`, `Hash`", "compared by their bits"]);
    }
}

/// The kind of a static field follows from its type, not from how the type is written.
#[test]
fn floats_are_static_under_any_name() {
    let source = "
        pub type Rate = f32;
        pub type Scale = fn(f32) -> f32;
        #[derive(gavotte::Tree, Clone)]
        pub struct M<T> {
            pub w: gavotte::Array,
            #[tree(static)] pub rate: Rate,
            #[tree(static)] pub rates: Vec<(Rate, u32)>,
            #[tree(static)] pub scale: Scale,
            #[tree(static)] pub marker: std::marker::PhantomData<f32>,
            #[tree(static)] pub setting: T,
        }
        pub fn same(m: M<u32>) -> M<u32> { gavotte::jit(|m: M<u32>| m)(m) }";
    assert_eq!(compile_user_crate("gavotte", source), "");
}

#[test]
fn a_parameter_of_a_static_field_is_told_what_it_lacks() {
    for ty in ["f32", "gavotte::Array", "std::cell::Cell<u8>"] {
        let said = one_error(&format!(
            "#[derive(gavotte::Tree)] pub struct M<T> {{ pub w: gavotte::Array, #[tree(static)] pub setting: Vec<T> }}
            pub fn f(m: M<{ty}>) -> Vec<gavotte::Array> {{ gavotte::tree::leaves(&m) }}"
        ));
        says(&said, &["cannot be a static field of a tree", "for which it is a type parameter"]);
    }
}

/// The use of a type with a mistake is not another one.
#[test]
fn uses_of_a_wrong_tree_are_not_reported() {
    let uses = "pub fn f(v: V) -> Vec<gavotte::Array> { gavotte::tree::leaves(&v) }";
    says(&one_error(&format!("#[derive(gavotte::Tree)] pub enum V {{}} {uses}")), &["give it a variant"]);
}

#[test]
fn attributes_and_types_that_mean_nothing_are_refused() {
    for (source, part) in [
        ("pub union U { a: u8, b: u8 }", "a union does not say which field it holds"),
        ("pub enum Never {}", "without variants has no values"),
        ("pub struct M { #[tree(skip)] a: gavotte::Array }", "on a field the only form is #[tree(static)]"),
        ("pub enum E { #[tree(static)] A }", "a variant takes no #[tree(…)]"),
        ("#[tree(static)] pub struct M { a: gavotte::Array }", "on a type the only form is #[tree(crate = path)]"),
        ("#[tree(crate = \"gavotte\")] pub struct M { a: gavotte::Array }", "write the path without quotes"),
        ("#[tree()] pub struct M { a: gavotte::Array }", "it says nothing"),
        ("pub struct M<'a> { a: gavotte::Array, #[tree(static)] s: &'a str }", "own it, as a `String`"),
        ("pub struct M<'a> { a: gavotte::Array, #[tree(static)] s: (u8, Vec<&'a str>) }", "own it, as a `String`"),
        ("pub struct M { a: gavotte::Array, #[tree(static)] s: [f32] }", "a field of a tree has a size"),
        ("pub struct M { a: gavotte::Array, #[tree(static)] s: str }", "a field of a tree has a size"),
        ("pub struct M { a: gavotte::Array, b: [gavotte::Array] }", "a field of a tree has a size"),
    ] {
        says(&one_error(&format!("#[derive(gavotte::Tree)] {source}")), &[part]);
    }
}

/// Every mistake of a type is reported, and each once.
#[test]
fn each_of_several_mistakes_is_reported_once() {
    for (source, wanted) in [
        (
            "pub struct M { #[tree(skip)] a: gavotte::Array, #[tree(rename = \"c\")] b: gavotte::Array,
                #[tree()] c: gavotte::Array, #[tree(static)] d: str }",
            ["only form is #[tree(static)]", "only form is #[tree(static)]", "it says nothing", "has a size"]
                .as_slice(),
        ),
        (
            "pub struct M { #[tree(skip(all), rename, static)] a: gavotte::Array }",
            &["only form is #[tree(static)]", "only form is #[tree(static)]"],
        ),
        (
            "#[tree(static)] pub enum E { #[tree(static)] A { #[tree(skip)] a: gavotte::Array }, #[tree(skip)] B }",
            &["only form is #[tree(crate = path)]", "a variant takes no", "only form is #[tree(static)]", "a variant"],
        ),
        (
            "pub struct M { a: f32, b: String, c: f32 }",
            &["`f32` is not a tree of arrays", "`String` is not a tree of arrays", "`f32` is not a tree of arrays"],
        ),
        (
            "pub struct M { #[tree(static)] a: std::collections::HashMap<String, u8>,
                #[tree(static)] b: std::cell::Cell<u8>, #[tree(static)] c: std::cell::Cell<u8> }",
            &[
                "HashMap<String, u8>` cannot be a static",
                "Cell<u8>` cannot be a static",
                "Cell<u8>` cannot be a static",
            ],
        ),
        (
            "pub enum E { A { a: f32, b: u8 }, B(u8) }",
            &["`f32` is not a tree of arrays", "`u8` is not a tree of arrays", "`u8` is not a tree of arrays"],
        ),
    ] {
        let said = compile_user_crate("gavotte", &format!("#[derive(gavotte::Tree)] {source}"));
        let found = reported(&said);
        let is_wanted = found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| a.contains(b));
        assert!(is_wanted, "{found:#?}, not {wanted:#?}\n{said}");
    }
}

#[test]
fn a_static_map_is_told_which_maps_have_an_order() {
    let source = "#[derive(gavotte::Tree)] pub struct M { #[tree(static)] pub of: std::collections::HashMap<u8, u8> }";
    says(&one_error(source), &["`HashMap` and a `HashSet` have no `Hash`", "use a `BTreeMap`", "`Vec` of pairs"]);
}

/// A user's function `f`, to be transformed.
fn transformed(call: &str) -> String {
    format!("use gavotte::*; pub fn f() {{ let _ = {call}; }}")
}

#[test]
fn a_function_of_the_wrong_kind_is_told_the_way_on() {
    let nine = "a: Array, _: Array, _: Array, _: Array, _: Array, _: Array, _: Array, _: Array, _: Array";
    for closure in [
        format!("|{nine}| a"),
        "|x: Array, y: &Array| x * y".to_string(),
        "|x: Array| x.item::<f32>()".to_string(),
        "|x: f32| Array::scalar(x)".to_string(),
        "3".to_string(),
    ] {
        let said = compile_user_crate("gavotte", &transformed(&format!("jit({closure})")));
        says(
            &said,
            &["is not a function of trees of arrays", "up to eight arguments, all by value or all by reference"],
        );
        says(&said, &["annotate every parameter", "capture everything else"]);
    }
}

#[test]
fn an_argument_that_is_not_there_does_not_compile() {
    let call = "grad_argnums(|x: Array, y: Array| x * y, Arg::<2>)(1f32.into(), 1f32.into())";
    let said = one_error(&transformed(call));
    says(&said, &["there is no argument 2 among (gavotte::Array, gavotte::Array)", "counted from 0"]);
}

#[test]
fn what_threads_cannot_share_is_not_captured() {
    // The first is neither `Send` nor `Sync`, the second not `Sync`.
    for (captured, read) in [("std::rc::Rc::new(1)", "*kept as f32"), ("std::cell::Cell::new(1)", "kept.get() as f32")]
    {
        for transformed in ["jit(f)", "grad(f)", "vmap(f, [Some(0)])", "checkpoint(f)"] {
            let said = one_error(&format!(
                "use gavotte::*;
                pub fn g() {{
                    let kept = {captured};
                    let f = move |x: Array| (x * ({read})).sum(());
                    let _ = {transformed};
                }}"
            ));
            says(&said, &["captures what threads cannot share", "no `Rc`, `Cell` or `RefCell`", "`Arc` and `Mutex`"]);
        }
    }
}
