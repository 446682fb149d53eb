// SPDX-License-Identifier: MIT
using System;
using System.Runtime.InteropServices;

namespace RestBridge
{
    /// <summary>
    /// The functions and structures of plugins/native/include/rest_bridge/rest_bridge.h. All
    /// structures are blittable, texts go over as UTF-8 bytes, and nothing calls back into managed
    /// code: there is nothing here that ahead-of-time compilation could miss.
    /// </summary>
    internal static unsafe class Native
    {
#if (UNITY_IOS || UNITY_TVOS) && !UNITY_EDITOR
        private const string Library = "__Internal";
#else
        private const string Library = "rest_bridge";
#endif
        public const int NameBytes = 132;
        public const int NumRig = 58;
        public const int NumVisemes = 15;

        public enum Result
        {
            Ok = 0,
            Empty = 1,
            Timeout = 2,
            Refused = 3,
            Argument = 4,
            Protocol = 5,
            System = 6
        }

        [StructLayout(LayoutKind.Sequential)]
        public struct Options
        {
            public UIntPtr StructSize;
            public IntPtr Frames, Events, Control, Speech;
            public int Format, Voice, Rig;
            public uint HistoryFrames, VoiceBufferMs;
            public IntPtr ServerKey, PublicKey, SecretKey;
        }

        [StructLayout(LayoutKind.Sequential)]
        public struct Status
        {
            public int Connected;
            public fixed byte Stream[NameBytes];
            public fixed byte State[NameBytes];
            public fixed byte Tier[NameBytes];
            public fixed byte Server[NameBytes];
            public long Epoch;
            public uint WidthPx, HeightPx;
            public double Fps;
            public ulong Frames, FramesLost, VoiceLostSamples, EventsLost, Refused, Streams;
        }

        [StructLayout(LayoutKind.Sequential)]
        public struct Frame
        {
            public long Sequence, Epoch, PtsNs, DurationNs, CapturedNs, PublishedNs, SampleIndex;
            public double Level;
            public int Format;
            public uint Width, Height, Stride;
            public IntPtr Data;
            public UIntPtr Size;
            public int Repeated, Synthetic;
            public IntPtr Owner;
        }

        [StructLayout(LayoutKind.Sequential)]
        public struct Rig
        {
            public long Sequence, Epoch, PtsNs;
            public fixed float Values[NumRig];
            public fixed float Visemes[NumVisemes];
            public double Level;
        }

        [StructLayout(LayoutKind.Sequential)]
        public struct Event
        {
            public fixed byte Kind[NameBytes];
            public long Sequence, Epoch, PublishedNs;
            public IntPtr Body, Owner;
        }

        [StructLayout(LayoutKind.Sequential)]
        public struct Message
        {
            public fixed byte Topic[8];
            public IntPtr Header, Body, Payload;
            public UIntPtr Size;
            public IntPtr Owner;
        }

        [DllImport(Library)] public static extern IntPtr rb_last_error();
        [DllImport(Library)] public static extern IntPtr rb_version();
        [DllImport(Library)] public static extern long rb_now_ns();

        [DllImport(Library)] public static extern void rb_options_init(Options* options);
        [DllImport(Library)] public static extern Result rb_client_open(Options* options, out IntPtr client);
        [DllImport(Library)] public static extern void rb_client_close(IntPtr client);
        [DllImport(Library)] public static extern void rb_client_cancel(ClientHandle client);
        [DllImport(Library)] public static extern void rb_client_status(ClientHandle client, Status* status);
        [DllImport(Library)] public static extern UIntPtr rb_client_refusal(
            ClientHandle client, byte* text, UIntPtr size);

        [DllImport(Library)] public static extern Result rb_frame_latest(ClientHandle client, Frame* frame);
        [DllImport(Library)] public static extern Result rb_frame_wait(
            ClientHandle client, uint timeoutMs, Frame* frame);
        [DllImport(Library)] public static extern Result rb_frame_at(
            ClientHandle client, long mediaNs, Frame* frame);
        [DllImport(Library)] public static extern void rb_frame_release(Frame* frame);
        [DllImport(Library)] public static extern Result rb_frame_decode(
            Frame* frame, byte* rgba, UIntPtr stride);

        [DllImport(Library)] public static extern Result rb_rig_latest(ClientHandle client, Rig* rig);
        [DllImport(Library)] public static extern Result rb_rig_at(
            ClientHandle client, long mediaNs, Rig* rig);
        [DllImport(Library)] public static extern IntPtr rb_rig_name(uint index);
        [DllImport(Library)] public static extern IntPtr rb_viseme_name(uint index);

        [DllImport(Library)] public static extern UIntPtr rb_voice_read(
            ClientHandle client, float* samples, UIntPtr count, long* ptsNs);
        [DllImport(Library)] public static extern UIntPtr rb_voice_available(ClientHandle client);
        [DllImport(Library)] public static extern void rb_voice_skip(ClientHandle client, UIntPtr keep);

        [DllImport(Library)] public static extern IntPtr rb_map_new();
        [DllImport(Library)] public static extern void rb_map_free(IntPtr map);
        [DllImport(Library)] public static extern void rb_map_set_text(IntPtr map, byte[] key, byte[] value);
        [DllImport(Library)] public static extern void rb_map_set_texts(
            IntPtr map, byte[] key, IntPtr* values, UIntPtr count);
        [DllImport(Library)] public static extern void rb_map_set_int(IntPtr map, byte[] key, long value);
        [DllImport(Library)] public static extern void rb_map_set_number(
            IntPtr map, byte[] key, double value);
        [DllImport(Library)] public static extern void rb_map_set_bool(IntPtr map, byte[] key, int value);
        [DllImport(Library)] public static extern IntPtr rb_map_text(
            IntPtr map, byte[] key, IntPtr otherwise);
        [DllImport(Library)] public static extern long rb_map_int(IntPtr map, byte[] key, long otherwise);
        [DllImport(Library)] public static extern double rb_map_number(
            IntPtr map, byte[] key, double otherwise);
        [DllImport(Library)] public static extern int rb_map_bool(IntPtr map, byte[] key, int otherwise);
        [DllImport(Library)] public static extern IntPtr rb_map_json(IntPtr map);

        [DllImport(Library)] public static extern Result rb_event_next(
            ClientHandle client, uint timeoutMs, Event* happened);
        [DllImport(Library)] public static extern void rb_event_release(Event* happened);
        [DllImport(Library)] public static extern Result rb_request(
            ClientHandle client, byte[] operation, IntPtr arguments, uint timeoutMs, out IntPtr reply);
        [DllImport(Library)] public static extern Result rb_clock_offset(
            ClientHandle client, uint exchanges, out long offsetNs);

        [DllImport(Library)] public static extern Result rb_speech_open(
            ClientHandle client, byte[] name, uint rateHz, uint channels, out IntPtr speech);
        [DllImport(Library)] public static extern Result rb_speech_push_s16(
            SpeechHandle speech, short* samples, UIntPtr count, uint timeoutMs, out UIntPtr sent);
        [DllImport(Library)] public static extern Result rb_speech_push_f32(
            SpeechHandle speech, float* samples, UIntPtr count, uint timeoutMs, out UIntPtr sent);
        [DllImport(Library)] public static extern Result rb_speech_mark(SpeechHandle speech, byte[] name);
        [DllImport(Library)] public static extern Result rb_speech_end(IntPtr speech, uint timeoutMs);
        [DllImport(Library)] public static extern Result rb_flush(
            ClientHandle client, IntPtr* names, UIntPtr count, uint timeoutMs);

        [DllImport(Library)] public static extern Result rb_message_decode(
            byte[] data, UIntPtr size, Message* message);
        [DllImport(Library)] public static extern void rb_message_release(Message* message);
    }
}
