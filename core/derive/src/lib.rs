//! `#[derive(Tree)]`: a struct or an enumeration whose fields are trees is a tree.

mod attributes;
mod bounds;

use attributes::{Mistakes, check_container, check_variant, is_static, tree_module};
use proc_macro::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Generics, Ident, Index, Member, Path, Type};

/// Implements `Tree` for a struct of any kind, or for an enumeration. The macro needs `gavotte` among the dependencies of
/// the crate it is used in, under any name.
///
/// Each field is a child under its name, or under its number if it has none. The variant of an enumeration is part of
/// the structure: a compiled function is traced once for each variant that it is called with.
///
/// A field marked `#[tree(static)]` holds no arrays: its value is part of the structure, and joins the key of compiled
/// functions. Its type must implement `Clone`, `Eq`, `Hash` and `Debug`. `f32` and `f64` are allowed, too, also within
/// `Option`, `Box`, `Vec`, arrays and tuples of up to four. They are compared by their bits: NaN equals itself, and
/// `0.0` differs from `-0.0`.
///
/// Type parameters need no bounds: those that a field contains get `Tree`, and static fields of a parameter's type get
/// the bounds of static fields.
///
/// `#[tree(crate = path)]` on the type names the crate by another path, for instance through a crate that re-exports
/// it.
#[proc_macro_derive(Tree, attributes(tree))]
pub fn derive_tree(input: TokenStream) -> TokenStream {
    let ast = syn::parse_macro_input!(input as DeriveInput);
    expand(&ast)
        .unwrap_or_else(|error| {
            let (error, instead) = (error.to_compile_error(), instead(&ast));
            quote!(#error #instead)
        })
        .into()
}

/// An implementation for a type with a mistake, so that the compiler does not report every use of the type as well. None
/// for a type without a size, which would be one more mistake.
fn instead(ast: &DeriveInput) -> proc_macro2::TokenStream {
    let Ok(tree) = check_container(&ast.attrs).map(tree_module) else { return quote!() };
    if let Data::Struct(data) = &ast.data
        && data.fields.iter().any(|field| bounds::check_sized(&field.ty).is_err())
    {
        return quote!();
    }
    let name = &ast.ident;
    let (impls, types, bounds) = ast.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        #[allow(unused_variables, reason = "the type has a mistake")]
        impl #impls #tree::Tree for #name #types #bounds {
            fn disassemble(&self, leaves: &mut ::std::vec::Vec<#tree::Value>) -> #tree::TreeDef {
                ::std::unreachable!()
            }
            fn assemble(
                def: &#tree::TreeDef,
                leaves: &mut dyn ::std::iter::Iterator<Item = #tree::Value>,
            ) -> Self {
                ::std::unreachable!()
            }
            fn restore(
                saved: &#tree::Structure,
                statics: &[#tree::StaticValue],
            ) -> ::std::result::Result<#tree::TreeDef, #tree::Misfit> {
                ::std::unreachable!()
            }
        }
    }
}

/// A struct, or a variant of an enumeration: the name of its node, and how its values are written.
struct Shape {
    /// The node's name.
    name: String,
    /// `Self`, or `Self::Variant`.
    path: proc_macro2::TokenStream,
    fields: Vec<Field>,
}

/// A field of a shape.
struct Field {
    member: Member,
    /// Its segment of a path.
    label: String,
    /// The name it is bound to in a pattern.
    binding: Ident,
    ty: Type,
    is_static: bool,
    /// Whether the type contains a macro, of which each use has a location of its own.
    is_expanded: bool,
}

fn expand(ast: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let mut mistakes = Mistakes::default();
    let named = mistakes.take(check_container(&ast.attrs));
    let shapes = mistakes.take(shapes(ast)).unwrap_or_default();
    mistakes.none()?;
    let tree = tree_module(named.flatten());
    let fields = || shapes.iter().flat_map(|shape| &shape.fields);
    let mut generics = ast.generics.clone();
    bounds::add(&mut generics, fields().map(|field| (&field.ty, field.is_static)), &tree);
    let disassemble = shapes.iter().map(|shape| shape.disassemble(&tree));
    let assemble = assemble(ast, &shapes, &tree);
    let restore = restore(&shapes, &tree);
    let name = &ast.ident;
    let (impls, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        #[allow(unused_variables, reason = "there may be no field")]
        impl #impls #tree::Tree for #name #types #bounds {
            fn disassemble(&self, leaves: &mut ::std::vec::Vec<#tree::Value>) -> #tree::TreeDef {
                match self { #(#disassemble),* }
            }
            fn assemble(
                def: &#tree::TreeDef,
                leaves: &mut dyn ::std::iter::Iterator<Item = #tree::Value>,
            ) -> Self {
                #assemble
            }
            fn restore(
                saved: &#tree::Structure,
                statics: &[#tree::StaticValue],
            ) -> ::std::result::Result<#tree::TreeDef, #tree::Misfit> {
                #restore
            }
        }
    })
}

/// The struct itself, or the variants of the enumeration.
fn shapes(ast: &DeriveInput) -> syn::Result<Vec<Shape>> {
    let name = ast.ident.unraw();
    match &ast.data {
        Data::Struct(data) => Ok(vec![Shape::new(name.to_string(), quote!(Self), &data.fields, &ast.generics)?]),
        Data::Enum(data) if data.variants.is_empty() => Err(syn::Error::new_spanned(
            &ast.ident,
            "an enumeration without variants has no values to flatten: give it a variant, or leave `Tree` out",
        )),
        Data::Enum(data) => {
            let (mut mistakes, mut shapes) = (Mistakes::default(), vec![]);
            for variant in &data.variants {
                mistakes.take(check_variant(&variant.attrs));
                let (ident, fields) = (&variant.ident, &variant.fields);
                let path = quote!(Self::#ident);
                let shape = Shape::new(format!("{name}::{}", ident.unraw()), path, fields, &ast.generics);
                shapes.extend(mistakes.take(shape));
            }
            mistakes.none().map(|()| shapes)
        }
        Data::Union(_) => Err(syn::Error::new_spanned(
            &ast.ident,
            "Tree can be derived for structs and enumerations: a union does not say which field it holds",
        )),
    }
}

/// Reassembles a value from its structure. A struct has one shape; the variant of an enumeration is found by the node's
/// name.
fn assemble(ast: &DeriveInput, shapes: &[Shape], tree: &Path) -> proc_macro2::TokenStream {
    if let (Data::Struct(_), [shape]) = (&ast.data, shapes) {
        return shape.assemble(tree);
    }
    let (names, values) = (shapes.iter().map(|shape| &shape.name), shapes.iter().map(|shape| shape.assemble(tree)));
    let ident = ast.ident.to_string();
    quote! {
        match def {
            #(#tree::TreeDef::Node(#names, _) => #values,)*
            other => panic!("{other:?} is no variant of {}", #ident),
        }
    }
}

/// Restores a saved structure. If there is only one shape, its error says what is wrong.
fn restore(shapes: &[Shape], tree: &Path) -> proc_macro2::TokenStream {
    if let [shape] = shapes {
        return shape.restore(tree);
    }
    let (names, values) = (shapes.iter().map(|shape| &shape.name), shapes.iter().map(|shape| shape.restore(tree)));
    let all = shapes.iter().map(|shape| shape.name.as_str()).collect::<Vec<_>>().join(" or ");
    quote! {
        match saved {
            #(#tree::Structure::Node(name, _) if name == #names => #values,)*
            other => ::std::result::Result::Err(#tree::Misfit::new(
                ::std::format!("{other}, where the type has {}", #all)
            )),
        }
    }
}

impl Shape {
    fn new(name: String, path: proc_macro2::TokenStream, fields: &Fields, generics: &Generics) -> syn::Result<Self> {
        let (mut mistakes, mut read) = (Mistakes::default(), vec![]);
        for (i, field) in fields.iter().enumerate() {
            let (member, label) = match &field.ident {
                Some(ident) => (Member::Named(ident.clone()), ident.unraw().to_string()),
                None => (Member::Unnamed(Index::from(i)), i.to_string()),
            };
            let binding = format_ident!("field_{i}");
            let (ty, is_static) = (field.ty.clone(), mistakes.take(is_static(&field.attrs)) == Some(true));
            mistakes.take(bounds::check_sized(&ty));
            if is_static {
                mistakes.take(bounds::check_static(&ty, generics));
            }
            let is_expanded = bounds::is_expanded(&ty, generics);
            read.push(Field { member, label, binding, ty, is_static, is_expanded });
        }
        mistakes.none().map(|()| Shape { name, path, fields: read })
    }

    /// The arm of a value of this shape.
    fn disassemble(&self, tree: &Path) -> proc_macro2::TokenStream {
        let Shape { name, path, fields } = self;
        let pattern = fields.iter().map(|Field { member, binding, .. }| quote!(#member: #binding));
        let children = fields.iter().map(|field| {
            let (binding, label) = (&field.binding, &field.label);
            let child = match field.is_static {
                true => {
                    let kind = field.kind(tree);
                    quote!(#tree::TreeDef::Static((#kind.wrap)(#binding)))
                }
                false => field.call(tree, quote!(disassemble(#binding, leaves)), |child| child),
            };
            quote!((#tree::Segment::Field(#label), #child))
        });
        quote!(#path { #(#pattern),* } => #tree::TreeDef::Node(#name, ::std::vec![#(#children),*]))
    }

    /// The value of this shape from `def` and `leaves`.
    fn assemble(&self, tree: &Path) -> proc_macro2::TokenStream {
        let Shape { path, fields, .. } = self;
        let fields = fields.iter().enumerate().map(|(i, field)| {
            let member = &field.member;
            let value = match field.is_static {
                true => {
                    let kind = field.kind(tree);
                    quote!((#kind.unwrap)(def.child(#i)))
                }
                false => field.call(tree, quote!(assemble(def.child(#i), leaves)), |child| child),
            };
            quote!(#member: #value)
        });
        quote!(#path { #(#fields),* })
    }

    /// The structure of this shape from `saved` and `statics`.
    fn restore(&self, tree: &Path) -> proc_macro2::TokenStream {
        let Shape { name, fields, .. } = self;
        let labels = fields.iter().map(|field| &field.label);
        let children = fields.iter().enumerate().map(|(i, field)| {
            let (label, ty) = (&field.label, &field.ty);
            match field.is_static {
                true => quote!(#tree::restore_static::<#ty>(#label, &children[#i].1, statics)?),
                false => field.call(
                    tree,
                    quote!(restore(&children[#i].1, statics)),
                    |def| quote!(#tree::restored(#tree::Segment::Field(#label), #def)?),
                ),
            }
        });
        quote! {{
            let children = saved.fields(#name, &[#(#labels),*])?;
            ::std::result::Result::Ok(#tree::TreeDef::Node(#name, ::std::vec![#(#children),*]))
        }}
    }
}

impl Field {
    /// How a static field is wrapped. Both uses have the same form and location, so the compiler reports once that the
    /// field's type cannot be static.
    fn kind(&self, tree: &Path) -> proc_macro2::TokenStream {
        let ty = &self.ty;
        quote_spanned! {ty.span()=> {
            #[allow(unused_imports, reason = "only one of them is used")]
            use #tree::{ComparedByBits as _, ComparedByEq as _, NotCompared as _};
            (&&&#tree::WhichKind::<#ty>::NEW).kind()
        }}
    }

    /// A call of a method of the trait that the field must implement. All calls have the same form and location, so the
    /// compiler reports once what the field's type lacks.
    fn call(
        &self,
        tree: &Path,
        method: proc_macro2::TokenStream,
        within: impl Fn(proc_macro2::TokenStream) -> proc_macro2::TokenStream,
    ) -> proc_macro2::TokenStream {
        let ty = &self.ty;
        let required = bounds::required(ty, false, tree);
        within(match self.is_expanded {
            true => quote_spanned!(ty.span()=> {
                type Expanded = #ty;
                <Expanded as #required>::#method
            }),
            false => quote_spanned!(ty.span()=> <#ty as #required>::#method),
        })
    }
}
