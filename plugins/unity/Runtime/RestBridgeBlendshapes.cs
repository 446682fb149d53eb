// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using UnityEngine;

namespace RestBridge
{
    /// <summary>
    /// Moves a mesh's blend shapes, and its head if there is one, by the face values of the stream:
    /// those of the moment that is heard where the voice is played here, else the newest.
    /// </summary>
    [AddComponentMenu("RestBridge/Blendshapes")]
    public sealed class RestBridgeBlendshapes : RestBridgeBehaviour
    {
        /// <summary>An exception to the mapping by names.</summary>
        [Serializable]
        public struct Entry
        {
            [Tooltip("ARKit's name, as jawOpen.")]
            public string arkit;
            [Tooltip("The mesh's blend shape; empty to leave it alone.")]
            public string shape;
            [Tooltip("1 for ARKit's own strength.")]
            public float scale;
        }

        [SerializeField] private SkinnedMeshRenderer target = null;
        [Tooltip("Strength of all shapes.")]
        [SerializeField, Range(0f, 2f)] private float strength = 1f;
        [Tooltip("Shapes that are not found by ARKit's names, or want another strength.")]
        [SerializeField] private List<Entry> mapping = new List<Entry>();
        [Tooltip("Turned by the head's pose; empty to leave it alone.")]
        [SerializeField] private Transform head = null;
        [SerializeField, Range(0f, 2f)] private float headStrength = 1f;

        private readonly RigValues values = new RigValues();
        private readonly float[] scales = new float[RigValues.NumArkit];
        private int[] shapes;
        private Mesh mapped;
        private Quaternion rest = Quaternion.identity;

        /// <summary>The mesh that is moved.</summary>
        public SkinnedMeshRenderer Target
        {
            get { return target; }
            set
            {
                target = value;
                Remap();
            }
        }

        /// <summary>The newest face values; changed in place.</summary>
        public RigValues Values
        {
            get { return values; }
        }

        /// <summary>How many of ARKit's 52 the mesh has.</summary>
        public int NumMapped { get; private set; }

        /// <summary>To be called after the mapping was changed by a script.</summary>
        public void Remap()
        {
            mapped = null;
        }

        private void Reset()
        {
            target = GetComponentInChildren<SkinnedMeshRenderer>();
        }

        private void OnValidate()
        {
            Remap();
        }

        private void OnEnable()
        {
            if (head != null) rest = head.localRotation;
        }

        private void OnDisable()
        {
            if (head != null) head.localRotation = rest;
        }

        private void LateUpdate()
        {
            BridgeClient client = Client;
            if (client == null || target == null || target.sharedMesh == null) return;
            long mediaNs;
            PlaybackClock clock = Connection.Clock;
            bool found = clock != null && clock.TryHeard(PlaybackClock.Now, out mediaNs)
                ? client.TryGetRigAt(mediaNs, values)
                : client.TryGetRig(values);
            if (!found) return;
            if (mapped != target.sharedMesh) Map(target.sharedMesh);
            for (int index = 0; index < RigValues.NumArkit; ++index)
            {
                if (shapes[index] == BlendshapeMap.None) continue;
                float weight = BlendshapeMap.ToMesh(values.Arkit[index], strength * scales[index]);
                target.SetBlendShapeWeight(shapes[index], weight);
            }
            if (head != null) head.localRotation = rest * Turn();
        }

        // The stream's yaw turns the nose to the picture's right, which is the person's left; pitch looks
        // down; roll turns counter-clockwise as seen. Unity's rotations are left-handed; a head that
        // looks along +Z is seen from the front.
        private Quaternion Turn()
        {
            return Quaternion.Euler(
                values.Pose[1] * headStrength, -values.Pose[0] * headStrength, -values.Pose[2] * headStrength);
        }

        private void Map(Mesh mesh)
        {
            mapped = mesh;
            string[] names = new string[mesh.blendShapeCount];
            for (int index = 0; index < names.Length; ++index) names[index] = mesh.GetBlendShapeName(index);
            shapes = BlendshapeMap.Resolve(names);
            for (int index = 0; index < scales.Length; ++index) scales[index] = 1f;
            foreach (Entry entry in mapping)
            {
                int arkit = BlendshapeMap.IndexOf(entry.arkit ?? "");
                if (arkit == BlendshapeMap.None)
                {
                    Debug.LogWarning("[RestBridge] \"" + entry.arkit + "\" is no ARKit blend shape.", this);
                    continue;
                }
                shapes[arkit] = string.IsNullOrEmpty(entry.shape)
                    ? BlendshapeMap.None
                    : Array.IndexOf(names, entry.shape);
                scales[arkit] = entry.scale;
                if (shapes[arkit] == BlendshapeMap.None && !string.IsNullOrEmpty(entry.shape))
                {
                    Debug.LogWarning("[RestBridge] The mesh has no shape \"" + entry.shape + "\".", this);
                }
            }
            NumMapped = 0;
            foreach (int shape in shapes) NumMapped += shape == BlendshapeMap.None ? 0 : 1;
        }
    }
}
