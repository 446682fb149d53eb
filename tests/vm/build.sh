#!/bin/bash
# Makes a virtual machine with the real v4l2loopback driver in a folder: Debian's kernel, unpacked and
# not installed; the module built against its headers; an initrd that mounts this machine's root
# read-only, so that Python and every package are there. Needs root and about 150 MB of downloads.
# Usage: build.sh FOLDER
set -euo pipefail
folder=$(realpath -m "${1:?usage: build.sh FOLDER}")
here=$(dirname "$(realpath "$0")")
mkdir -p "$folder" && cd "$folder"
packages=(qemu-system-x86 busybox-static v4l-utils make gcc)
dpkg -s "${packages[@]}" >/dev/null 2>&1 ||
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends/{print $2; exit}')
version=${kernel#linux-image-}
dpkg -s "linux-headers-$version" >/dev/null 2>&1 ||
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "linux-headers-$version"
mkdir -p debs root
ls debs/linux-image-*.deb debs/v4l2loopback-dkms*.deb >/dev/null 2>&1 ||
  (cd debs && apt-get download "$kernel" v4l2loopback-dkms)
for deb in debs/*.deb; do dpkg-deb -x "$deb" root; done
rm -rf v4l2loopback && cp -r root/usr/src/v4l2loopback-* v4l2loopback
make -s -C "/usr/src/linux-headers-$version" M="$folder/v4l2loopback" modules
depmod -b root "$version"
rm -rf initrd && mkdir -p initrd/{bin,mods,proc,sys,dev,ro,rw,new}
cp /bin/busybox initrd/bin/
for module in virtio_pci 9pnet_virtio 9p overlay videodev; do
  modprobe -S "$version" -d "$folder/root" --show-depends "$module" |
    awk '/^insmod/{print $2}' | while read -r file; do
      name=$(basename "$file")
      grep -qsx "$name" initrd/mods/order || { cp "$file" initrd/mods/ && echo "$name" >>initrd/mods/order; }
    done
done
cp v4l2loopback/v4l2loopback.ko initrd/mods/
install -m 755 "$here/init" initrd/init
(cd initrd && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >../initrd.gz)
ln -sf "root/boot/vmlinuz-$version" vmlinuz
echo "built: $folder ($version)"
