//! Reading XML requests without trusting them.
//!
//! DOCTYPE is refused, so there are no entities but the five of XML and character references; size, depth, number of
//! elements and length of a tag are bounded. Namespaces and prefixes are ignored: AWS takes documents with and without.
//! Elements that the model does not know are skipped; text where only elements belong is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::{ErrorKind, Location, ParseError, Scalar, TimeFormat};

/// The most bytes of a document. 10,000 parts with checksums, or 1,000 keys with every character escaped, fit.
pub const MAX_XML_BYTES: usize = 8 << 20;
/// The deepest nesting; models stay below 20.
pub const MAX_XML_DEPTH: usize = 64;
/// The most elements: 10,000 parts of up to 20 elements each.
pub const MAX_XML_ELEMENTS: usize = 210_000;
/// The most bytes of one tag with its attributes.
pub const MAX_XML_TAG_BYTES: usize = 16 << 10;

/// The start of an element.
pub struct Element<'a> {
    tag: BytesStart<'a>,
}

impl Element<'_> {
    /// The name without its prefix.
    pub fn name(&self) -> &str {
        let name = self.tag.name().into_inner();
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// The typed value of an attribute, found by its name without prefix.
    pub fn attribute<T: Scalar>(&self, member: &'static str, format: TimeFormat) -> Result<Option<T>, ParseError> {
        let wanted = member.rsplit_once(':').map_or(member, |(_, local)| local);
        for attribute in self.tag.attributes() {
            let attribute = attribute.map_err(|e| ParseError::malformed_xml(e.to_string()))?;
            let key = attribute.key.into_inner();
            if key.starts_with("xmlns") || attribute.key.local_name().into_inner() != wanted {
                continue;
            }
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|e| ParseError::malformed_xml(e.to_string()))?;
            let value = T::from_cow(value, format).map_err(|kind| ParseError::new(member, Location::Body, kind))?;
            return Ok(Some(value));
        }
        Ok(None)
    }
}

/// A reader over one document. Every method that takes an element expects to stand behind its start tag and
/// leaves the reader behind its end tag.
pub struct XmlReader<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
    elements: usize,
}

impl<'a> XmlReader<'a> {
    /// Opens a document and reads its root's start tag; `None` when the body holds nothing but white space.
    ///
    /// # Errors
    /// `TooLarge` beyond [`MAX_XML_BYTES`], `NotUtf8`, and `MalformedXml`, also when the root is not called `root`.
    pub fn open(body: &'a [u8], root: &str) -> Result<Option<(Self, Element<'a>)>, ParseError> {
        match Self::start(body)? {
            Some((_, element)) if element.name() != root => {
                Err(ParseError::malformed_xml(format!("the root element must be {root}")))
            }
            opened => Ok(opened),
        }
    }

    /// As [`Self::open`], whatever the root is called.
    pub(super) fn start(body: &'a [u8]) -> Result<Option<(Self, Element<'a>)>, ParseError> {
        if body.len() > MAX_XML_BYTES {
            return Err(ParseError::new("", Location::Body, ErrorKind::TooLarge { limit: MAX_XML_BYTES }));
        }
        let text = std::str::from_utf8(body).map_err(|_| ParseError::new("", Location::Body, ErrorKind::NotUtf8))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        // XML 1.0, production [2]; the tokenizer does not look.
        if text.bytes().any(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
            return Err(ParseError::malformed_xml("a control character"));
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut reader = Self { reader, depth: 0, elements: 0 };
        let element =
            reader.next_start()?.ok_or_else(|| ParseError::malformed_xml("the document has no root element"))?;
        Ok(Some((reader, element)))
    }

    /// The next child of the current element; `None` when its end tag was read.
    pub fn next_child(&mut self) -> Result<Option<Element<'a>>, ParseError> {
        self.next_start()
    }

    /// The next start tag at this level, past white space and comments.
    fn next_start(&mut self) -> Result<Option<Element<'a>>, ParseError> {
        loop {
            match self.event()? {
                Event::Start(tag) => return self.enter(tag).map(Some),
                Event::End(_) => {
                    self.leave()?;
                    return Ok(None);
                }
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Decl(_) if self.depth == 0 && self.elements == 0 => {}
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return Err(ParseError::malformed_xml("unexpected end of the document")),
                _ => return Err(ParseError::malformed_xml("text where an element is expected")),
            }
        }
    }

    /// Reads the rest of the document behind the root element: nothing but white space and comments.
    pub fn finish(&mut self) -> Result<(), ParseError> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                _ => return Err(ParseError::malformed_xml("content behind the root element")),
            }
        }
    }

    /// The text of the current element, which must have no children.
    pub fn text(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        loop {
            let piece: Cow<'a, str> = match self.event()? {
                Event::End(_) => {
                    self.leave()?;
                    return Ok(text);
                }
                Event::Text(piece) => piece.xml10_content(),
                Event::CData(piece) => piece.xml10_content(),
                Event::GeneralRef(reference) => Cow::Owned(resolve(&reference)?.to_string()),
                Event::Comment(_) | Event::PI(_) => continue,
                Event::Start(_) => return Err(ParseError::malformed_xml("an element where text is expected")),
                Event::Eof => return Err(ParseError::malformed_xml("unexpected end of the document")),
                _ => return Err(ParseError::malformed_xml("unexpected markup")),
            };
            if text.is_empty() {
                text = piece;
            } else {
                text.to_mut().push_str(&piece);
            }
        }
    }

    /// The typed value of an element's text.
    pub fn scalar<T: Scalar>(&mut self, element: &Element<'_>, format: TimeFormat) -> Result<T, ParseError> {
        let text = self.text()?;
        let value = if T::KEEP_SPACE { T::from_cow(text, format) } else { T::from_text(text.trim_ascii(), format) };
        value.map_err(|kind| ParseError::new(element.name().to_owned(), Location::Body, kind))
    }

    /// The items of a list: the children of the current element that are called `item`.
    pub fn list<T>(
        &mut self,
        item: &str,
        mut read: impl FnMut(&mut Self, &Element<'a>) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut list = Vec::new();
        while let Some(child) = self.next_child()? {
            if child.name() == item {
                list.push(read(self, &child)?);
            } else {
                self.skip()?;
            }
        }
        Ok(list)
    }

    /// The entries of a map: children called `entry`, each with a key and a value.
    pub fn map<K: Scalar + Ord, V>(
        &mut self,
        [entry, key, value]: [&'static str; 3],
        mut read: impl FnMut(&mut Self, &Element<'a>) -> Result<V, ParseError>,
    ) -> Result<BTreeMap<K, V>, ParseError> {
        let mut map = BTreeMap::new();
        while let Some(child) = self.next_child()? {
            if child.name() == entry {
                self.entry(&mut map, [key, value], &mut read)?;
            } else {
                self.skip()?;
            }
        }
        Ok(map)
    }

    /// One entry of a map, the current element, put into the map.
    pub fn entry<K: Scalar + Ord, V>(
        &mut self,
        map: &mut BTreeMap<K, V>,
        [key, value]: [&'static str; 2],
        mut read: impl FnMut(&mut Self, &Element<'a>) -> Result<V, ParseError>,
    ) -> Result<(), ParseError> {
        let (mut k, mut v) = (None, None);
        while let Some(child) = self.next_child()? {
            if child.name() == key {
                crate::once(&mut k, self.scalar(&child, TimeFormat::Iso8601)?, key)?;
            } else if child.name() == value {
                crate::once(&mut v, read(self, &child)?, value)?;
            } else {
                self.skip()?;
            }
        }
        let k = crate::required(k, key, Location::Body)?;
        let v = crate::required(v, value, Location::Body)?;
        if map.insert(k, v).is_some() {
            return Err(ParseError::new(key, Location::Body, ErrorKind::Duplicate));
        }
        Ok(())
    }

    /// Reads past the current element.
    pub fn skip(&mut self) -> Result<(), ParseError> {
        let outside = self.depth - 1;
        loop {
            match self.event()? {
                Event::Start(tag) => {
                    self.enter(tag)?;
                }
                Event::End(_) => {
                    self.leave()?;
                    if self.depth == outside {
                        return Ok(());
                    }
                }
                Event::GeneralRef(reference) => {
                    resolve(&reference)?;
                }
                Event::Eof => return Err(ParseError::malformed_xml("unexpected end of the document")),
                Event::Decl(_) => return Err(ParseError::malformed_xml("a declaration inside the document")),
                _ => {}
            }
        }
    }

    pub(super) fn enter(&mut self, tag: BytesStart<'a>) -> Result<Element<'a>, ParseError> {
        let too = |kind| Err(ParseError::new("", Location::Body, kind));
        self.depth += 1;
        self.elements += 1;
        if self.depth > MAX_XML_DEPTH {
            return too(ErrorKind::TooDeep { limit: MAX_XML_DEPTH });
        }
        if self.elements > MAX_XML_ELEMENTS {
            return too(ErrorKind::TooLarge { limit: MAX_XML_ELEMENTS });
        }
        if tag.name().into_inner().len() + tag.attributes_raw().len() > MAX_XML_TAG_BYTES {
            return too(ErrorKind::TooLarge { limit: MAX_XML_TAG_BYTES });
        }
        Ok(Element { tag })
    }

    pub(super) fn leave(&mut self) -> Result<(), ParseError> {
        self.depth =
            self.depth.checked_sub(1).ok_or_else(|| ParseError::malformed_xml("an end tag without a start tag"))?;
        Ok(())
    }

    pub(super) fn event(&mut self) -> Result<Event<'a>, ParseError> {
        match self.reader.read_event() {
            Ok(Event::DocType(_)) => Err(ParseError::malformed_xml("a document type is not allowed")),
            Ok(event) => Ok(event),
            Err(e) => Err(ParseError::malformed_xml(e.to_string())),
        }
    }
}

/// The character of a reference: one of the five names, or a number.
pub(super) fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, ParseError> {
    let number = reference.resolve_char_ref().map_err(|e| ParseError::malformed_xml(e.to_string()))?;
    if let Some(character) = number {
        // XML 1.0 has no control characters, not even by reference, XML 1.1 all but NUL. Keys may hold them, listings show them by
        // reference, and who reads a listing must be able to delete what it names.
        return if character == '\0' { Err(ParseError::malformed_xml("a reference to NUL")) } else { Ok(character) };
    }
    match reference.as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(ParseError::malformed_xml("an entity that is not declared")),
    }
}

/// Reads a body whose root element is the whole value; `None` when the body is empty.
pub fn payload<T>(
    body: &Bytes,
    root: &str,
    read: impl for<'a> FnOnce(&mut XmlReader<'a>, &Element<'a>) -> Result<T, ParseError>,
) -> Result<Option<T>, ParseError> {
    let Some((mut reader, element)) = XmlReader::open(body, root)? else { return Ok(None) };
    let value = read(&mut reader, &element)?;
    reader.finish()?;
    Ok(Some(value))
}
