//! string_agg, array_agg, json_agg and json_object_agg: aggregates that keep every value.

use super::super::Registry;
use super::super::json_build::to_json;
use super::super::kernel::{FromCol, cast_array};
use super::{Agg, Types, agg, first};
use arrow::array::{Array, ArrayRef, BinaryArray, StringArray};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState, json, oid};
use std::sync::Arc;

/// Text joined so far, and the delimiter that came with its first value (needed when parts are merged).
#[derive(Debug, Default)]
struct StringAgg<const BYTES: bool> {
    joined: Option<Vec<u8>>,
    first_delimiter: Vec<u8>,
}

enum Strings<'a> {
    Text(&'a StringArray, &'a StringArray),
    Bytes(&'a BinaryArray, &'a BinaryArray),
}

impl<const B: bool> StringAgg<B> {
    fn push(&mut self, value: &[u8], delimiter: &[u8]) {
        match &mut self.joined {
            Some(s) => {
                s.extend_from_slice(delimiter);
                s.extend_from_slice(value);
            }
            None => {
                self.joined = Some(value.to_vec());
                self.first_delimiter = delimiter.to_vec();
            }
        }
    }
    fn datum(b: &[u8]) -> Result<Datum> {
        if B {
            return Ok(Datum::Bytea(b.into()));
        }
        std::str::from_utf8(b).map(Datum::text).map_err(|_| Error::internal("string_agg state is not UTF-8"))
    }
}

impl<const B: bool> Agg for StringAgg<B> {
    type Args<'a> = Strings<'a>;
    const ORDERED: bool = true;
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Strings<'a>> {
        let [v, d, ..] = args else { return Err(Error::internal("string_agg needs two arguments")) };
        Ok(if B {
            Strings::Bytes(cast_array(v)?, cast_array(d)?)
        } else {
            Strings::Text(cast_array(v)?, cast_array(d)?)
        })
    }
    fn update(&mut self, args: &Strings<'_>, i: usize) -> Result<()> {
        match args {
            Strings::Text(v, d) => {
                self.push(v.value(i).as_bytes(), if d.is_null(i) { b"" } else { d.value(i).as_bytes() })
            }
            Strings::Bytes(v, d) => self.push(v.value(i), if d.is_null(i) { b"" } else { d.value(i) }),
        }
        Ok(())
    }
    fn state_types(t: &Types) -> Vec<PgType> {
        vec![t.ret, t.ret]
    }
    fn state(&self, t: &Types) -> Result<Vec<Datum>> {
        Ok(vec![self.result(t)?, Self::datum(&self.first_delimiter)?])
    }
    fn merge(&mut self, t: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        let bytes = |d: Datum| match d {
            Datum::Text(s) => s.as_bytes().to_vec(),
            Datum::Bytea(b) => b.to_vec(),
            _ => vec![],
        };
        if states[0].is_valid(i) {
            self.push(&bytes(datum_at(&states[0], t.ret, i)), &bytes(datum_at(&states[1], t.ret, i)));
        }
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        self.joined.as_deref().map_or(Ok(Datum::Null), Self::datum)
    }
    fn heap_bytes(&self) -> usize {
        self.joined.as_ref().map_or(0, Vec::capacity) + self.first_delimiter.capacity()
    }
}

/// Elements so far; arrays of equal dimensions stack into one more dimension.
#[derive(Debug, Default)]
struct ArrayAgg {
    elements: Option<Vec<Datum>>,
    /// Dimensions of each element when those are arrays.
    inner: Option<Vec<(i32, i32)>>,
    count: i32,
}

impl ArrayAgg {
    fn push(&mut self, v: Datum, nested: bool) -> Result<()> {
        let list = self.elements.get_or_insert_with(Vec::new);
        if !nested {
            list.push(v);
            self.count += 1;
            return Ok(());
        }
        let state = |m: &str| Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, m);
        let Datum::Array(a) = v else {
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays"));
        };
        if a.dims.is_empty() {
            return Err(state("cannot accumulate empty arrays"));
        }
        match &self.inner {
            Some(d) if *d != a.dims => return Err(state("cannot accumulate arrays of different dimensionality")),
            Some(_) => {}
            None => self.inner = Some(a.dims.clone()),
        }
        list.extend(a.elements.iter().cloned());
        self.count += 1;
        Ok(())
    }
}

impl Agg for ArrayAgg {
    type Args<'a> = (&'a ArrayRef, PgType, bool);
    const STRICT: bool = false;
    const ORDERED: bool = true;
    fn open<'a>(t: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        Ok((first(args)?, t.args[0], t.args[0].element().is_some()))
    }
    fn update(&mut self, (col, ty, nested): &Self::Args<'_>, i: usize) -> Result<()> {
        self.push(datum_at(col, *ty, i), *nested)
    }
    fn state_types(t: &Types) -> Vec<PgType> {
        vec![t.ret]
    }
    fn state(&self, t: &Types) -> Result<Vec<Datum>> {
        Ok(vec![self.result(t)?])
    }
    fn merge(&mut self, t: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        let Datum::Array(a) = datum_at(&states[0], t.ret, i) else { return Ok(()) };
        if a.dims.len() > 1 {
            let inner = a.dims[1..].to_vec();
            if self.inner.as_ref().is_some_and(|d| *d != inner) {
                return Err(Error::new(
                    SqlState::ARRAY_SUBSCRIPT_ERROR,
                    "cannot accumulate arrays of different dimensionality",
                ));
            }
            self.inner = Some(inner);
        }
        self.count += a.dims.first().map_or(0, |d| d.0);
        self.elements.get_or_insert_with(Vec::new).extend(a.elements.iter().cloned());
        Ok(())
    }
    fn result(&self, t: &Types) -> Result<Datum> {
        let Some(elements) = &self.elements else { return Ok(Datum::Null) };
        let elem = t.ret.element().map_or(oid::TEXT, |e| e.oid);
        let mut dims = vec![(self.count, 1)];
        dims.extend(self.inner.iter().flatten().copied());
        if dims.len() > 6 {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("number of array dimensions ({}) exceeds the maximum allowed (6)", dims.len()),
            ));
        }
        Ok(Datum::Array(Arc::new(PgArray { elem, dims, elements: elements.clone() })))
    }
    fn heap_bytes(&self) -> usize {
        self.elements.as_ref().map_or(0, |e| e.capacity() * size_of::<Datum>() * 2)
    }
}

/// Members joined so far, without the brackets. Rows stand on lines of their own.
#[derive(Debug, Default)]
struct JsonAgg<const OBJECT: bool, const JSONB: bool, const ROWS: bool>(Option<String>);

impl<const O: bool, const J: bool, const R: bool> JsonAgg<O, J, R> {
    fn join(&mut self, part: &str) {
        match &mut self.0 {
            Some(s) => {
                s.push_str(if R { ", \n " } else { ", " });
                s.push_str(part);
            }
            None => self.0 = Some(part.to_owned()),
        }
    }
}

impl<const O: bool, const J: bool, const R: bool> Agg for JsonAgg<O, J, R> {
    type Args<'a> = (&'a [ArrayRef], &'a Types);
    const STRICT: bool = false;
    const ORDERED: bool = true;
    fn open<'a>(t: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        Ok((args, t))
    }
    fn update(&mut self, (cols, t): &Self::Args<'_>, i: usize) -> Result<()> {
        let value = |c: usize| to_json(&datum_at(&cols[c], t.args[c], i), t.args[c], None);
        if !O {
            let v = value(0)?;
            self.join(&v);
            return Ok(());
        }
        if cols[0].is_null(i) {
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "field name must not be null"));
        }
        let key = super::super::json_build::key_text(&datum_at(&cols[0], t.args[0], i), t.args[0], None)?;
        let mut part = String::new();
        json::push_string(&mut part, &key);
        part.push_str(if J { ": " } else { " : " });
        part.push_str(&value(1)?);
        self.join(&part);
        Ok(())
    }
    fn state_types(_: &Types) -> Vec<PgType> {
        vec![PgType::new(oid::TEXT)]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(vec![self.0.as_deref().map_or(Datum::Null, Datum::text)])
    }
    fn merge(&mut self, _: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        if states[0].is_valid(i) {
            let part = <&str as FromCol<'_>>::get(&<&str as FromCol<'_>>::open(&states[0])?, i)?.to_owned();
            self.join(&part);
        }
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        let Some(s) = &self.0 else { return Ok(Datum::Null) };
        let whole = match (O, J) {
            (false, _) => format!("[{s}]"),
            (true, false) => format!("{{ {s} }}"),
            (true, true) => format!("{{{s}}}"),
        };
        Ok(Datum::text(if J { json::normalize(&whole)? } else { whole }))
    }
    fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, String::capacity)
    }
}

pub(super) fn register(r: &mut Registry) {
    agg!(r, "string_agg", StringAgg<false>, "string_agg(text,text)");
    agg!(r, "string_agg", StringAgg<true>, "string_agg(bytea,bytea)");
    agg!(r, "array_agg", ArrayAgg, "array_agg(anynonarray)", "array_agg(anyarray)");
    agg!(r, "json_agg", JsonAgg<false, false, false>, "json_agg(anyelement)");
    agg!(r, "json_agg", JsonAgg<false, false, true>, "heddle_json_agg_rows(json)");
    agg!(r, "jsonb_agg", JsonAgg<false, true, false>, "jsonb_agg(anyelement)");
    agg!(r, "json_object_agg", JsonAgg<true, false, false>, "json_object_agg(any,any)");
    agg!(r, "jsonb_object_agg", JsonAgg<true, true, false>, "jsonb_object_agg(any,any)");
}
