//! Domains below which everybody can have a name, by the Public Suffix List (<https://publicsuffix.org>).

/// Whether `name`, in lower case and in its ASCII form, is such a domain. One that the list does not have is where it has no dot.
pub fn is_public(name: &str) -> bool {
    psl::suffix_str(name) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_public_where_the_list_says_so_and_none_below_it_is() {
        let public = ["com", "co.uk", "github.io", "vercel.app", "xn--p1ai", "no-such-domain"];
        assert_eq!(public.map(is_public), [true; 6]);
        let owned = ["example.com", "example.co.uk", "somebody.github.io", "hotdash.no-such-domain", ""];
        assert_eq!(owned.map(is_public), [false; 5]);
    }
}
