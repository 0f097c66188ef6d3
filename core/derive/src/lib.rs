//! `#[derive(Tree)]`: a struct whose fields are trees is a tree.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Field, Index, Member, parse_quote};

/// Implements `Tree` for a struct: each field is a child under its name. A field marked `#[tree(static)]` is part of
/// the structure: it must be `Clone + Eq + Hash + Debug`, and joins the key of compiled functions.
#[proc_macro_derive(Tree, attributes(tree))]
pub fn derive_tree(input: TokenStream) -> TokenStream {
    let ast = syn::parse_macro_input!(input as DeriveInput);
    expand(ast).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(mut ast: DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let Data::Struct(data) = &ast.data else {
        return Err(syn::Error::new_spanned(&ast.ident, "Tree can be derived for structs only"));
    };
    let name = &ast.ident;
    let mut visits = vec![];
    let mut builds = vec![];
    let mut restores = vec![];
    let mut labels = vec![];
    for (i, field) in data.fields.iter().enumerate() {
        let (member, label) = match &field.ident {
            Some(ident) => (Member::Named(ident.clone()), ident.to_string()),
            None => (Member::Unnamed(Index::from(i)), i.to_string()),
        };
        let ty = &field.ty;
        if is_static(field)? {
            visits.push(quote!(::gavotte_core::tree::TreeDef::Static(
                ::gavotte_core::tree::StaticValue::new(&self.#member)
            )));
            builds.push(quote!(#member: match def.child(#i) {
                ::gavotte_core::tree::TreeDef::Static(value) => value.get::<#ty>(),
                other => panic!("{other:?} is no static field"),
            }));
            restores.push(quote!(::gavotte_core::tree::restore_static::<#ty>(#label, &children[#i].1, statics)?));
        } else {
            visits.push(quote!(::gavotte_core::tree::Tree::disassemble(&self.#member, leaves)));
            builds.push(quote!(#member: <#ty as ::gavotte_core::tree::Tree>::assemble(def.child(#i), leaves)));
            restores.push(quote!(::gavotte_core::tree::restore_child::<#ty>(
                ::gavotte_core::tree::Segment::Field(#label),
                &children[#i].1,
                statics
            )?));
        }
        let visit = visits.pop();
        visits.push(quote!((::gavotte_core::tree::Segment::Field(#label), #visit)));
        labels.push(label);
    }
    let params: Vec<_> = ast.generics.type_params().map(|param| param.ident.clone()).collect();
    let bounds = ast.generics.make_where_clause();
    for param in params {
        bounds.predicates.push(parse_quote!(#param: ::gavotte_core::tree::Tree));
    }
    let (impls, types, bounds) = ast.generics.split_for_impl();
    Ok(quote! {
        impl #impls ::gavotte_core::tree::Tree for #name #types #bounds {
            fn disassemble(
                &self,
                leaves: &mut ::std::vec::Vec<::gavotte_core::ir::Value>,
            ) -> ::gavotte_core::tree::TreeDef {
                ::gavotte_core::tree::TreeDef::Node(stringify!(#name), vec![#(#visits),*])
            }
            fn assemble(
                def: &::gavotte_core::tree::TreeDef,
                leaves: &mut dyn ::std::iter::Iterator<Item = ::gavotte_core::ir::Value>,
            ) -> Self {
                Self { #(#builds),* }
            }
            #[allow(unused_variables, reason = "a struct may have no field")]
            fn restore(
                saved: &::gavotte_core::tree::Structure,
                statics: &[::gavotte_core::tree::StaticValue],
            ) -> ::std::result::Result<::gavotte_core::tree::TreeDef, ::gavotte_core::tree::Misfit> {
                let children = saved.fields(stringify!(#name), &[#(#labels),*])?;
                ::std::result::Result::Ok(::gavotte_core::tree::TreeDef::Node(
                    stringify!(#name),
                    vec![#(#restores),*],
                ))
            }
        }
    })
}

/// Whether the field is marked `#[tree(static)]`; any other content of `tree(…)` is an error.
fn is_static(field: &Field) -> syn::Result<bool> {
    let mut found = false;
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("tree")) {
        let tokens = attr.meta.require_list()?.tokens.to_string();
        if tokens != "static" {
            return Err(syn::Error::new_spanned(attr, "the one form is #[tree(static)]"));
        }
        found = true;
    }
    Ok(found)
}
