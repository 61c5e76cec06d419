# modules.sh - sourced: kernel modules for a RAM disk.

# add_modules TREE FOLDER MODULE... - copies the modules named, as modprobe names them, and all they need from TREE into
# FOLDER, and appends their files' names to FOLDER/order, each after its needs. What the kernel has built in has no file.
add_modules() ( # in a shell of its own, for its variables
    tree=$1
    folder=$2
    shift 2
    mkdir -p "$folder"
    for module; do
        file=$(module_file "$module")
        [ -n "$file" ] || continue
        grep -qxF "${file##*/}" "$folder/order" 2>/dev/null && continue
        needs=$(tr '\0' '\n' <"$file" | LC_ALL=C sed -n 's/^depends=//p' | tr ',' ' ')
        # shellcheck disable=SC2086 # a list of names
        [ -z "$needs" ] || add_modules "$tree" "$folder" $needs
        cp "$file" "$folder/"
        printf '%s\n' "${file##*/}" >>"$folder/order"
    done
)

# The file of a module; it may have - where the name has _.
module_file() {
    find "$tree" -name "$(printf '%s' "$1" | sed 's/[-_]/[-_]/g').ko" | head -n 1
}
