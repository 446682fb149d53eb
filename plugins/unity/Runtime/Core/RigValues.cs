// SPDX-License-Identifier: MIT
using System;

namespace RestBridge
{
    /// <summary>The values of a face at one instant: head pose, ARKit's 52 weights, 15 visemes.</summary>
    public sealed class RigValues
    {
        /// <summary>Number of pose values, which come before the ARKit weights.</summary>
        public const int NumPose = 6;
        /// <summary>Number of ARKit weights.</summary>
        public const int NumArkit = 52;
        /// <summary>Number of visemes.</summary>
        public const int NumVisemes = Native.NumVisemes;

        /// <summary>headYaw, headPitch, headRoll, headX, headY, headZ.</summary>
        public static readonly string[] PoseNames =
        {
            "headYaw", "headPitch", "headRoll", "headX", "headY", "headZ"
        };

        /// <summary>The 52 names of ARKit in Live Link order; "Left" is the person's left.</summary>
        public static readonly string[] ArkitNames =
        {
            "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
            "eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight",
            "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward",
            "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft",
            "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
            "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
            "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft",
            "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
            "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
            "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
            "noseSneerRight", "tongueOut"
        };

        /// <summary>The 15 visemes in order.</summary>
        public static readonly string[] VisemeNames =
        {
            "sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"
        };

        /// <summary>Frame number.</summary>
        public long Sequence { get; private set; }
        /// <summary>Grows when the stream is flushed.</summary>
        public long Epoch { get; private set; }
        /// <summary>Media time in nanoseconds.</summary>
        public long PtsNs { get; private set; }
        /// <summary>Root mean square of the voice, 0..1.</summary>
        public double Level { get; private set; }
        /// <summary>By `PoseNames`: degrees (yaw, pitch, roll), distances between the eyes (x, y),
        /// relative size (z).</summary>
        public readonly float[] Pose = new float[NumPose];
        /// <summary>By `ArkitNames`, 0..1.</summary>
        public readonly float[] Arkit = new float[NumArkit];
        /// <summary>By `VisemeNames`, 0..1.</summary>
        public readonly float[] Visemes = new float[NumVisemes];

        internal unsafe void Fill(ref Native.Rig rig)
        {
            Sequence = rig.Sequence;
            Epoch = rig.Epoch;
            PtsNs = rig.PtsNs;
            Level = rig.Level;
            fixed (float* values = rig.Values)
            {
                for (int index = 0; index < NumPose; ++index) Pose[index] = values[index];
                for (int index = 0; index < NumArkit; ++index) Arkit[index] = values[NumPose + index];
            }
            fixed (float* values = rig.Visemes)
            {
                for (int index = 0; index < NumVisemes; ++index) Visemes[index] = values[index];
            }
        }
    }
}
