// SPDX-License-Identifier: MIT
using System;

namespace RestBridge
{
    /// <summary>
    /// Something that the daemon told: of kind "hello", "state", "stats", "speech", ... (PROTOCOL.md).
    /// Valid until it is given back with `Dispose`; makes texts only of what is asked for.
    /// </summary>
    public struct BridgeEvent : IDisposable
    {
        internal Native.Event Raw;

        /// <summary>Counts events; a gap means lost ones.</summary>
        public long Sequence { get { return Raw.Sequence; } }
        /// <summary>Grows when the stream is flushed.</summary>
        public long Epoch { get { return Raw.Epoch; } }
        /// <summary>Daemon's monotonic clock, ns.</summary>
        public long PublishedNs { get { return Raw.PublishedNs; } }

        /// <summary>What kind of event it is.</summary>
        public unsafe string Kind
        {
            get { fixed (byte* kind = Raw.Kind) return Utf8.Text(kind); }
        }

        /// <summary>Whether it is of a kind, without making a text.</summary>
        public unsafe bool Is(string kind)
        {
            fixed (byte* own = Raw.Kind) return Utf8.Same(own, kind);
        }

        /// <summary>A text of the body, or what is given otherwise.</summary>
        public string Text(string key, string otherwise = "")
        {
            IntPtr found = Native.rb_map_text(Raw.Body, Utf8.Bytes(key), IntPtr.Zero);
            return found == IntPtr.Zero ? otherwise : Utf8.Text(found);
        }

        /// <summary>An integer of the body.</summary>
        public long Integer(string key, long otherwise = 0)
        {
            return Native.rb_map_int(Raw.Body, Utf8.Bytes(key), otherwise);
        }

        /// <summary>A number of the body.</summary>
        public double Number(string key, double otherwise = 0)
        {
            return Native.rb_map_number(Raw.Body, Utf8.Bytes(key), otherwise);
        }

        /// <summary>A truth of the body.</summary>
        public bool Flag(string key, bool otherwise = false)
        {
            return Native.rb_map_bool(Raw.Body, Utf8.Bytes(key), otherwise ? 1 : 0) != 0;
        }

        /// <summary>The whole body as JSON.</summary>
        public string Json()
        {
            return Utf8.Text(Native.rb_map_json(Raw.Body));
        }

        /// <summary>Gives it back; harmless if there is none.</summary>
        public unsafe void Dispose()
        {
            if (Raw.Owner == IntPtr.Zero) return;
            fixed (Native.Event* happened = &Raw) Native.rb_event_release(happened);
        }
    }
}
