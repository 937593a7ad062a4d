//! Lists in pages: `Limit`, `Marker`, `Truncated`, `NextMarker`.

use millpond_kernel::paging::Page;

use crate::errors::KmsError;

/// The page that was asked for. `usual` items without a limit, at most `most`.
pub(crate) fn page(limit: Option<i32>, marker: Option<&str>, usual: usize, most: usize) -> Result<Page, KmsError> {
    let limit = match limit.map(usize::try_from) {
        None => usual,
        Some(Ok(limit)) if (1..=most).contains(&limit) => limit,
        Some(_) => return Err(KmsError::Validation(format!("The limit is between 1 and {most}."))),
    };
    Page::new(limit, marker).map_err(|_| KmsError::Marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_markers() {
        for (limit, marker, fits) in [
            (None, None, true),
            (Some(6), None, true),
            (Some(7), None, false),
            (Some(0), None, false),
            (None, Some("\u{e9}"), false),
        ] {
            assert_eq!(page(limit, marker, 5, 6).is_ok(), fits, "{limit:?} {marker:?}");
        }
    }
}
