// SPDX-License-Identifier: MIT
using System;

namespace RestBridge
{
    /// <summary>
    /// A picture that lies in the native library's memory until it is given back with `Dispose`,
    /// which must happen once. Nothing is copied to hand it out.
    /// </summary>
    public struct FrameLease : IDisposable
    {
        internal Native.Frame Raw;

        /// <summary>Whether there is a picture.</summary>
        public bool HasPicture
        {
            get { return Raw.Owner != IntPtr.Zero; }
        }

        /// <summary>Frame number; a gap means lost frames.</summary>
        public long Sequence { get { return Raw.Sequence; } }
        /// <summary>Grows when the stream is flushed.</summary>
        public long Epoch { get { return Raw.Epoch; } }
        /// <summary>Media time of its beginning, in nanoseconds.</summary>
        public long PtsNs { get { return Raw.PtsNs; } }
        /// <summary>How long it is shown, in nanoseconds.</summary>
        public long DurationNs { get { return Raw.DurationNs; } }
        /// <summary>Daemon's monotonic clock at the newest sample that it was made from.</summary>
        public long CapturedNs { get { return Raw.CapturedNs; } }
        /// <summary>Daemon's monotonic clock when it was published.</summary>
        public long PublishedNs { get { return Raw.PublishedNs; } }
        /// <summary>Media time of its beginning in samples of 48 kHz.</summary>
        public long SampleIndex { get { return Raw.SampleIndex; } }
        /// <summary>Root mean square of its voice, 0..1.</summary>
        public double Level { get { return Raw.Level; } }
        /// <summary>How its bytes are to be read.</summary>
        public PictureFormat Format { get { return (PictureFormat)Raw.Format; } }
        /// <summary>In pixels.</summary>
        public int Width { get { return (int)Raw.Width; } }
        /// <summary>In pixels.</summary>
        public int Height { get { return (int)Raw.Height; } }
        /// <summary>Bytes from row to row, top row first; 0 for JPEG.</summary>
        public int Stride { get { return (int)Raw.Stride; } }
        /// <summary>Where its bytes are.</summary>
        public IntPtr Data { get { return Raw.Data; } }
        /// <summary>How many they are.</summary>
        public int Size { get { return (int)Raw.Size.ToUInt64(); } }
        /// <summary>The same picture as before, because no new one was in time.</summary>
        public bool Repeated { get { return Raw.Repeated != 0; } }
        /// <summary>Generated; keep this with the picture.</summary>
        public bool Synthetic { get { return Raw.Synthetic != 0; } }

        /// <summary>Gives the picture back; harmless if there is none.</summary>
        public unsafe void Dispose()
        {
            if (Raw.Owner == IntPtr.Zero) return;
            fixed (Native.Frame* frame = &Raw) Native.rb_frame_release(frame);
        }
    }
}
