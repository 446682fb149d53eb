/* LD_PRELOAD stand-in for a v4l2loopback OUTPUT device (test use only).
 *   FAKE_V4L2_DEV   path that is to look like the device   (default /dev/video10)
 *   FAKE_V4L2_SINK  file or FIFO that gets the frames      (default ./fakev4l2.sink)
 *   FAKE_V4L2_LISTED  if set, /dev lists the device and /proc/modules the driver (OBS looks there)
 * Every write() becomes one record in the sink: 48-byte header + payload.
 * Behaves as v4l2loopback 0.12/0.13 does for the calls pyvirtualcam makes:
 * open(O_WRONLY|O_SYNC), VIDIOC_QUERYCAP, VIDIOC_S_FMT, write, close; and for those of OBS's virtual
 * camera: open(O_RDWR), G_FMT, S_PARM, STREAMON, STREAMOFF. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAXFD 1024
struct rec_hdr {               /* little endian, 48 bytes */
    char     magic[4];         /* "FV4L" */
    uint32_t seq, fourcc, width, height, bytesperline, size, pid;
    uint64_t mono_ns, real_ns;
};
static struct { int used; struct v4l2_pix_format pix; uint32_t seq; int have_fmt; } cam[MAXFD];
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
static const char *dev(void)  { const char *s = getenv("FAKE_V4L2_DEV");  return s ? s : "/dev/video10"; }
static const char *sink(void) { const char *s = getenv("FAKE_V4L2_SINK"); return s ? s : "fakev4l2.sink"; }
static int mine(int fd) { return fd >= 0 && fd < MAXFD && cam[fd].used; }

static int open_dev(int flags)
{
    if ((flags & O_ACCMODE) == O_RDONLY) { errno = EACCES; return -1; }   /* output side only */
    int fd = ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))
             (sink(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    if (fd >= MAXFD) { close(fd); errno = EMFILE; return -1; }
    pthread_mutex_lock(&mu);
    memset(&cam[fd], 0, sizeof cam[fd]);
    cam[fd].used = 1;
    pthread_mutex_unlock(&mu);
    return fd;
}
#define OPEN_BODY(real)                                              \
    mode_t m = 0;                                                    \
    if (flags & (O_CREAT | O_TMPFILE)) {                             \
        va_list ap; va_start(ap, flags); m = va_arg(ap, mode_t); va_end(ap); } \
    if (!strcmp(path, dev())) return open_dev(flags);        \
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, real))(path, flags, m);
int open(const char *path, int flags, ...)   { OPEN_BODY("open") }
int open64(const char *path, int flags, ...) { OPEN_BODY("open64") }

static uint32_t frame_size(struct v4l2_pix_format *p)
{
    uint32_t w = p->width, h = p->height;
    switch (p->pixelformat) {
    case V4L2_PIX_FMT_YUV420: case V4L2_PIX_FMT_NV12:
        p->bytesperline = w; return w * h + 2 * ((w + 1) / 2) * ((h + 1) / 2);
    case V4L2_PIX_FMT_GREY: p->bytesperline = w;     return w * h;
    case V4L2_PIX_FMT_YUYV:
    case V4L2_PIX_FMT_UYVY: p->bytesperline = 2 * w; return 2 * w * h;
    default: return 0;
    }
}
int ioctl(int fd, unsigned long req, ...)
{
    va_list ap; va_start(ap, req); void *arg = va_arg(ap, void *); va_end(ap);
    if (!mine(fd)) return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(fd, req, arg);
    if (req == VIDIOC_QUERYCAP) {
        struct v4l2_capability *c = arg;
        memset(c, 0, sizeof *c);
        strcpy((char *)c->driver, "v4l2 loopback");
        strcpy((char *)c->card, "rest_bridge test camera");
        strcpy((char *)c->bus_info, "platform:v4l2loopback-010");
        c->version = (6 << 16) | (1 << 8);
        c->device_caps = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE | V4L2_CAP_STREAMING;
        c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    if (req == VIDIOC_S_PARM || req == VIDIOC_STREAMON || req == VIDIOC_STREAMOFF) return 0;
    if (req == VIDIOC_S_FMT || req == VIDIOC_TRY_FMT || req == VIDIOC_G_FMT) {
        struct v4l2_format *f = arg;
        if (f->type != V4L2_BUF_TYPE_VIDEO_OUTPUT) { errno = EINVAL; return -1; }
        if (req == VIDIOC_G_FMT) { f->fmt.pix = cam[fd].pix; return 0; }
        struct v4l2_pix_format *p = &f->fmt.pix;
        uint32_t n = frame_size(p);
        if (!n || !p->width || !p->height) { errno = EINVAL; return -1; }
        p->sizeimage = n; p->field = V4L2_FIELD_NONE; p->colorspace = V4L2_COLORSPACE_SRGB;
        if (req == VIDIOC_S_FMT) { cam[fd].pix = *p; cam[fd].have_fmt = 1; }
        return 0;
    }
    errno = ENOTTY; return -1;
}
static uint64_t ns(clockid_t c) { struct timespec t; clock_gettime(c, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
ssize_t write(int fd, const void *buf, size_t n)
{
    if (!mine(fd)) return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, buf, n);
    if (!cam[fd].have_fmt) { errno = EINVAL; return -1; }
    size_t size = n < cam[fd].pix.sizeimage ? n : cam[fd].pix.sizeimage;   /* as the driver does */
    struct rec_hdr h = { "FV4L", cam[fd].seq++, cam[fd].pix.pixelformat, cam[fd].pix.width, cam[fd].pix.height,
                         cam[fd].pix.bytesperline, (uint32_t)size, (uint32_t)getpid(),
                         ns(CLOCK_MONOTONIC), ns(CLOCK_REALTIME) };
    struct iovec v[2] = { { &h, sizeof h }, { (void *)buf, size } };
    pthread_mutex_lock(&mu);
    size_t left = sizeof h + size; int i = 0;
    while (left) {
        ssize_t k = writev(fd, v + i, 2 - i);
        if (k < 0) { if (errno == EINTR) continue; pthread_mutex_unlock(&mu); return -1; }
        left -= k;
        while (i < 2 && (size_t)k >= v[i].iov_len) k -= v[i++].iov_len;
        if (i < 2) { v[i].iov_base = (char *)v[i].iov_base + k; v[i].iov_len -= k; }
    }
    pthread_mutex_unlock(&mu);
    return (ssize_t)size;
}
int close(int fd)
{
    if (mine(fd)) { pthread_mutex_lock(&mu); cam[fd].used = 0; pthread_mutex_unlock(&mu); }
    return ((int (*)(int))dlsym(RTLD_NEXT, "close"))(fd);
}

/* What a program finds that looks for the driver and its devices. */
static int listed(void) { return getenv("FAKE_V4L2_LISTED") != NULL; }
#define FOPEN(name)                                                      \
    FILE *name(const char *path, const char *mode)                       \
    {                                                                    \
        static char modules[] = "v4l2loopback 49152 0 - Live 0x0\n";     \
        if (listed() && !strcmp(path, "/proc/modules"))                  \
            return fmemopen(modules, sizeof modules - 1, "r");           \
        return REAL(name)(path, mode);                                   \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define SCANDIR(name, entry)                                                              \
    int name(const char *folder, struct entry ***list, int (*filter)(const struct entry *),   \
             int (*order)(const struct entry **, const struct entry **))                  \
    {                                                                                     \
        int count = REAL(name)(folder, list, filter, order);                              \
        if (count < 0 || !listed() || strcmp(folder, "/dev")) return count;               \
        struct entry *ours = calloc(1, sizeof *ours);                                     \
        snprintf(ours->d_name, sizeof ours->d_name, "%s", strrchr(dev(), '/') + 1);       \
        ours->d_type = DT_CHR;                                                            \
        if (filter && !filter(ours)) { free(ours); return count; }                        \
        *list = realloc(*list, (size_t)(count + 1) * sizeof **list);                      \
        (*list)[count] = ours;                                                            \
        return count + 1;                                                                 \
    }
SCANDIR(scandir, dirent)
SCANDIR(scandir64, dirent64)
