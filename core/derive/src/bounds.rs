//! The traits that types of fields must implement, and the bounds on type parameters that follow.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, GenericParam, Generics, Ident, Path, PathArguments, Type, parse_quote};

/// The trait that a field's type must implement.
pub(crate) fn required(ty: &Type, is_static: bool, tree: &Path) -> TokenStream {
    let is_float = |ident: &Ident| ident == "f32" || ident == "f64";
    let name = match is_static {
        false => quote!(Tree),
        true if mentions(ty.to_token_stream(), &is_float) => quote!(StaticBits),
        true => quote!(StaticField),
    };
    quote_spanned!(ty.span()=> #tree::#name)
}

/// Refuses the type of a static field that borrows, of which the compiler's errors would name the code of this macro.
pub(crate) fn check_static(ty: &Type, generics: &Generics) -> syn::Result<()> {
    let borrowed: Vec<String> = generics.lifetimes().map(|param| param.lifetime.ident.to_string()).collect();
    // In tokens, a lifetime is a quote and an identifier.
    let mut is_quoted = false;
    let mut borrows = |token: TokenTree| {
        let is_lifetime =
            matches!(&token, TokenTree::Ident(ident) if is_quoted && borrowed.contains(&ident.to_string()));
        is_quoted = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
        is_lifetime
    };
    if flat(ty.to_token_stream()).into_iter().any(&mut borrows) {
        let why = "a static field joins the key of compiled functions, which outlives what it borrows: own it, as a `String` \
                   or a `Vec`, or borrow it for `'static`";
        return Err(syn::Error::new_spanned(ty, why));
    }
    Ok(())
}

/// Refuses a type that is written as one without a size: the compiler would report each use.
pub(crate) fn check_sized(ty: &Type) -> syn::Result<()> {
    let is_str = matches!(ty, Type::Path(path) if path.path.is_ident("str"));
    if is_str || matches!(ty, Type::Slice(_) | Type::TraitObject(_)) {
        let why = "a field of a tree has a size: own what it holds, as a `String`, a `Vec` or a `Box`";
        return Err(syn::Error::new_spanned(ty, why));
    }
    Ok(())
}

/// Whether a type contains a macro and none of the parameters.
pub(crate) fn is_expanded(ty: &Type, generics: &Generics) -> bool {
    let is_param = |ident: &Ident| {
        generics.params.iter().any(|param| match param {
            GenericParam::Type(param) => param.ident == *ident,
            GenericParam::Const(param) => param.ident == *ident,
            GenericParam::Lifetime(param) => param.lifetime.ident == *ident,
        })
    };
    let is_call = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!');
    flat(ty.to_token_stream()).iter().any(is_call) && !mentions(ty.to_token_stream(), &is_param)
}

/// The tokens with those within brackets.
fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    let within = |token| match token {
        TokenTree::Group(group) => flat(group.stream()),
        token => vec![token],
    };
    tokens.into_iter().flat_map(within).collect()
}

/// Adds the bounds on the type's parameters that the fields, static or not, require.
///
/// Bounds on the fields' own types would do too, but the compiler cannot resolve them for a recursive type.
pub(crate) fn add<'a>(generics: &mut Generics, fields: impl Iterator<Item = (&'a Type, bool)>, tree: &Path) {
    let params: Vec<Ident> = generics.type_params().map(|param| param.ident.clone()).collect();
    let is_param = |ident: &Ident| params.contains(ident);
    let mut bounded: Vec<Type> = vec![];
    let predicates = &mut generics.make_where_clause().predicates;
    for (ty, is_static) in fields {
        if !is_static {
            collect(ty, &is_param, &mut bounded);
        } else if mentions(ty.to_token_stream(), &is_param) {
            let required = required(ty, true, tree);
            predicates.push(parse_quote!(#ty: #required));
        }
    }
    let mut seen: Vec<String> = vec![];
    for ty in bounded {
        let text = ty.to_token_stream().to_string();
        if !seen.contains(&text) {
            predicates.push(parse_quote!(#ty: #tree::Tree));
            seen.push(text);
        }
    }
}

/// The parts of a type that depend on a parameter and must be trees: `T` of `Vec<T>`, and `T::Weights` where that is
/// the field. `PhantomData` requires nothing of its parameter.
fn collect(ty: &Type, is_param: &impl Fn(&Ident) -> bool, found: &mut Vec<Type>) {
    match ty {
        Type::Path(path) => {
            let segments = &path.path.segments;
            let of_param = path.path.leading_colon.is_none() && segments.first().is_some_and(|s| is_param(&s.ident));
            let Some(last) = segments.last() else { return };
            if path.qself.is_some() || of_param {
                if mentions(ty.to_token_stream(), is_param) {
                    found.push(ty.clone());
                }
            } else if let PathArguments::AngleBracketed(args) = &last.arguments
                && last.ident != "PhantomData"
            {
                for arg in &args.args {
                    if let GenericArgument::Type(ty) = arg {
                        collect(ty, is_param, found);
                    }
                }
            }
        }
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| collect(ty, is_param, found)),
        Type::Array(array) => collect(&array.elem, is_param, found),
        Type::Paren(inner) => collect(&inner.elem, is_param, found),
        Type::Group(inner) => collect(&inner.elem, is_param, found),
        _ => {}
    }
}

/// Whether the tokens contain an identifier for which `is` holds.
fn mentions(tokens: TokenStream, is: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => is(&ident),
        TokenTree::Group(group) => mentions(group.stream(), is),
        _ => false,
    })
}
