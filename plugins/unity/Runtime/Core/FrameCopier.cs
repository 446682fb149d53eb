// SPDX-License-Identifier: MIT
using System;
using System.Runtime.InteropServices;

namespace RestBridge
{
    /// <summary>
    /// Copies pictures into memory of a texture: 4 bytes a pixel, rows without gaps, the bottom row
    /// first as engines want it. One copy for raw pictures; JPEG is decoded into a buffer that is
    /// kept. Makes no garbage.
    /// </summary>
    public sealed unsafe class FrameCopier : IDisposable
    {
        private IntPtr buffer;
        private long bufferBytes;

        /// <summary>Copies a picture.</summary>
        /// <param name="frame">the picture</param>
        /// <param name="pixels">where to; width x height x 4 bytes</param>
        /// <param name="numBytes">room there</param>
        /// <returns>false, with nothing copied, where the room is of another size or the library
        /// cannot decode this format</returns>
        public bool Copy(ref FrameLease frame, void* pixels, long numBytes)
        {
            long rowBytes = frame.Width * 4L;
            if (!frame.HasPicture || numBytes != rowBytes * frame.Height) return false;
            byte* from = (byte*)frame.Data;
            long stride = frame.Stride;
            if (frame.Format != PictureFormat.Rgba && frame.Format != PictureFormat.Bgra)
            {
                Reserve(numBytes);
                from = (byte*)buffer;
                stride = rowBytes;
                fixed (Native.Frame* native = &frame.Raw)
                {
                    Native.Result result = Native.rb_frame_decode(
                        native, from, new UIntPtr((ulong)rowBytes));
                    if (result != Native.Result.Ok) return false;
                }
            }
            byte* to = (byte*)pixels + rowBytes * (frame.Height - 1);
            for (int row = 0; row < frame.Height; ++row)
            {
                Buffer.MemoryCopy(from, to, rowBytes, rowBytes);
                from += stride;
                to -= rowBytes;
            }
            return true;
        }

        /// <summary>Frees the buffer; idempotent.</summary>
        public void Dispose()
        {
            if (buffer != IntPtr.Zero) Marshal.FreeHGlobal(buffer);
            buffer = IntPtr.Zero;
            bufferBytes = 0;
        }

        private void Reserve(long numBytes)
        {
            if (numBytes <= bufferBytes) return;
            Dispose();
            buffer = Marshal.AllocHGlobal(new IntPtr(numBytes));
            bufferBytes = numBytes;
        }
    }
}
