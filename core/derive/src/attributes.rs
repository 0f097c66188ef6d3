//! The attribute `#[tree(…)]`, and the path of the crate.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenTree};
use syn::{Attribute, Ident, Path, Token, parse_quote};

/// The path of the module `tree`: in the crate that `#[tree(crate = path)]` names, else in `gavotte` under its name in
/// the user's manifest.
pub(crate) fn tree_module(named: Option<Path>) -> Path {
    match named {
        Some(path) => parse_quote!(#path::tree),
        None => {
            let found = find_crate();
            parse_quote!(::#found::tree)
        }
    }
}

/// The name of the crate in the user's crate. Some packages of Gavotte know only its core.
fn find_crate() -> Ident {
    let found = ["gavotte", "gavotte-core"].into_iter().find_map(|package| match crate_name(package).ok()? {
        // The crate refers to itself by the name that its users use.
        FoundCrate::Itself => Some(package.replace('-', "_")),
        FoundCrate::Name(name) => Some(name),
    });
    // Without Cargo there is no manifest.
    Ident::new(&found.unwrap_or("gavotte".into()), Span::call_site())
}

/// Reads the attributes of the type: the path in `#[tree(crate = path)]`.
pub(crate) fn check_container(attrs: &[Attribute]) -> syn::Result<Option<Path>> {
    let mut named = None;
    each(attrs, |meta| {
        if !meta.path.is_ident("crate") {
            return Err(meta.error("on a type the only form is #[tree(crate = path)]; #[tree(static)] marks a field"));
        }
        let value = meta.value()?;
        if value.peek(syn::LitStr) {
            return Err(value.error("write the path without quotes: #[tree(crate = gavotte)]"));
        }
        named = Some(value.call(Path::parse_mod_style)?);
        Ok(())
    })?;
    Ok(named)
}

/// Rejects every attribute of a variant.
pub(crate) fn check_variant(attrs: &[Attribute]) -> syn::Result<()> {
    each(attrs, |meta| {
        Err(meta.error(
            "a variant takes no #[tree(…)]: it is part of the structure as it is; #[tree(static)] marks a field",
        ))
    })
}

/// Whether the field is marked `#[tree(static)]`; any other content of `tree(…)` is an error.
pub(crate) fn is_static(attrs: &[Attribute]) -> syn::Result<bool> {
    let mut found = false;
    each(attrs, |meta| {
        if !meta.path.is_ident("static") {
            return Err(meta.error("on a field the only form is #[tree(static)]"));
        }
        found = true;
        Ok(())
    })?;
    Ok(found)
}

/// Calls `read` for each entry of each `#[tree(…)]`. Reports what is wrong with each.
fn each(
    attrs: &[Attribute],
    mut read: impl FnMut(syn::meta::ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    let mut mistakes = Mistakes::default();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("tree")) {
        let mut is_empty = true;
        let parsed = attr.parse_nested_meta(|meta| {
            is_empty = false;
            let input = meta.input;
            if mistakes.take(read(meta)).is_none() {
                // The next entry comes after what belongs to this one.
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<TokenTree>()?;
                }
            }
            Ok(())
        });
        let empty = "it says nothing: #[tree(static)] marks a field, #[tree(crate = path)] names the crate";
        if mistakes.take(parsed).is_some() && is_empty {
            mistakes.add(syn::Error::new_spanned(attr, empty));
        }
    }
    mistakes.none()
}

/// What is wrong with a type: all of it is reported at once.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    /// Adds a mistake.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or one mistake more.
    pub(crate) fn take<T>(&mut self, found: syn::Result<T>) -> Option<T> {
        found.map_err(|error| self.add(error)).ok()
    }

    /// An error if there are mistakes.
    pub(crate) fn none(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
