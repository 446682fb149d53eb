// SPDX-License-Identifier: MIT
using System;
using System.Runtime.InteropServices;

namespace RestBridge
{
    /// <summary>
    /// An open connection. The runtime keeps it alive while a call on it runs in any thread, so that
    /// closing it while the audio thread reads is safe: the last call out closes it.
    /// </summary>
    internal sealed class ClientHandle : SafeHandle
    {
        public ClientHandle(IntPtr client) : base(IntPtr.Zero, true)
        {
            SetHandle(client);
        }

        public override bool IsInvalid
        {
            get { return handle == IntPtr.Zero; }
        }

        protected override bool ReleaseHandle()
        {
            Native.rb_client_close(handle);
            return true;
        }
    }

    /// <summary>A line of speech; keeps its client open, because it points into it.</summary>
    internal sealed class SpeechHandle : SafeHandle
    {
        private readonly ClientHandle client;

        public SpeechHandle(ClientHandle client, IntPtr speech) : base(IntPtr.Zero, true)
        {
            bool added = false;
            client.DangerousAddRef(ref added);
            this.client = client;
            SetHandle(speech);
        }

        public override bool IsInvalid
        {
            get { return handle == IntPtr.Zero; }
        }

        /// <summary>Ends the line, which frees it; true where the end was sent in time.</summary>
        public bool End(uint timeoutMs)
        {
            if (IsClosed) return true;
            IntPtr speech = handle;
            SetHandle(IntPtr.Zero);
            Native.Result result = Native.rb_speech_end(speech, timeoutMs);
            client.DangerousRelease();
            Dispose();
            return result == Native.Result.Ok;
        }

        protected override bool ReleaseHandle()
        {
            Native.rb_speech_end(handle, 0);
            client.DangerousRelease();
            return true;
        }
    }
}
