# apt.sh - sourced: where this host's apt gets Debian's packages from.

# Sets `mirror` to the repository's address, empty where there is none that debootstrap can read (it doesn't know all the
# ways that apt knows), and exports the proxies that apt uses.
find_mirror() {
    for attempt in now refreshed; do
        # shellcheck disable=SC2016 # apt's $
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
            'Component: main' 'Architecture: amd64' 2>/dev/null | sed -n '/^http/{s|/*$||p;q}')
        [ -z "$mirror" ] && [ $attempt = now ] || break
        apt-get update -q >/dev/null 2>&1 || :
    done
    eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
    [ -z "${http_proxy-}" ] || export http_proxy
    [ -z "${https_proxy-}" ] || export https_proxy
}
