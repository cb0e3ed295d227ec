#!/bin/sh
# Makes a routing function from the template, as `spin new -t tandem-router` does, on a machine without the Spin CLI:
#
#   sh functions/new.sh FOLDER
#
# The function's name is the folder's. Names are lower case: letters, digits and dashes.
set -eu
folder=${1:?usage: sh functions/new.sh FOLDER}
functions=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$folder")

case $name in
  [!a-z]* | *[!a-z0-9-]* | *- | *--*)
    echo "\`$name\` is no name for a function: lower-case letters, digits and single dashes, a letter first, such as my-router" >&2
    exit 2
    ;;
esac
if [ -e "$folder" ]; then
  echo "$folder is there already" >&2
  exit 2
fi

snake=$(printf %s "$name" | tr - _)
pascal=$(printf %s "$name" | awk -F- '{ for (i = 1; i <= NF; i++) printf "%s", toupper(substr($i, 1, 1)) substr($i, 2) }')
sdk=$(printf %s "$functions/sdk" | sed 's/[\\&#]/\\&/g')

mkdir -p "$(dirname "$folder")"
cp -R "$functions/templates/tandem-router/content" "$folder"
mv "$folder/Cargo.toml.tmpl" "$folder/Cargo.toml"
find "$folder" -type f | while read -r file; do
  sed -e "s#{{project-name | kebab_case}}#$name#g" \
    -e "s#{{project-name | snake_case}}#$snake#g" \
    -e "s#{{project-name | pascal_case}}#$pascal#g" \
    -e "s#{{project-description}}#Routes calls#g" \
    -e "s#{{sdk-path}}#$sdk#g" "$file" > "$file.new"
  mv "$file.new" "$file"
done
echo "made $folder; next: cd $folder && cargo test"
