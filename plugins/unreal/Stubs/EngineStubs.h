// SPDX-License-Identifier: MIT
// A stub, not Unreal: see README.md. Modules Engine, DeveloperSettings, RHI.
#pragma once

#include "CoreStubs.h"

// Doc: RHI/RHITypes.h, FUpdateTextureRegion2D
struct FUpdateTextureRegion2D
{
	uint32 DestX, DestY;
	int32 SrcX, SrcY;
	uint32 Width, Height;
	FUpdateTextureRegion2D();
	FUpdateTextureRegion2D(uint32 InDestX, uint32 InDestY, int32 InSrcX, int32 InSrcY, uint32 InWidth, uint32 InHeight);
};

// Doc: Core/PixelFormat.h; Engine/Engine/TextureDefines.h
enum EPixelFormat { PF_B8G8R8A8 };
enum TextureFilter { TF_Bilinear };
enum TextureAddress { TA_Clamp };

// Doc: Engine/Engine/Texture.h, Texture2D.h
class UTexture : public UObject
{
public:
	uint8 SRGB : 1;
	uint8 NeverStream : 1;
	TextureFilter Filter;
	virtual void UpdateResource();
};
class UTexture2D : public UTexture
{
public:
	TextureAddress AddressX, AddressY;
	int32 GetSizeX() const;
	int32 GetSizeY() const;
	// 5.3 and later have a further, defaulted parameter for the first pixels.
	static UTexture2D* CreateTransient(int32 InSizeX, int32 InSizeY, EPixelFormat InFormat = PF_B8G8R8A8, const FName InName = FName());
	void UpdateTextureRegions(int32 MipIndex, uint32 NumRegions, const FUpdateTextureRegion2D* Regions, uint32 SrcPitch, uint32 SrcBpp, uint8* SrcData,
		TFunction<void(uint8* SrcData, const FUpdateTextureRegion2D* Regions)> DataCleanupFunc);
};

// Doc: Engine/Materials/MaterialInstanceDynamic.h
class UMaterialInstanceDynamic : public UObject
{
public:
	void SetTextureParameterValue(FName ParameterName, UTexture* Value);
};

// Doc: Engine/Engine/EngineTypes.h, EngineBaseTypes.h
namespace EEndPlayReason
{
	enum Type { Destroyed, EndPlayInEditor, Quit };
}
enum ELevelTick { LEVELTICK_All };
enum ETickingGroup { TG_PostUpdateWork };
struct FActorComponentTickFunction
{
	uint8 bCanEverTick : 1;
	ETickingGroup TickGroup;
};

// Doc: Engine/GameFramework/Actor.h
class AActor : public UObject
{
};

// Doc: Engine/Components/ActorComponent.h, SceneComponent.h, PrimitiveComponent.h
class UActorComponent : public UObject
{
public:
	FActorComponentTickFunction PrimaryComponentTick;
	virtual void BeginPlay();
	virtual void EndPlay(const EEndPlayReason::Type EndPlayReason);
	virtual void TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction);
	virtual void DestroyComponent(bool bPromoteChildren = false);
	AActor* GetOwner() const;
	void RegisterComponent();
};
class USceneComponent : public UActorComponent
{
public:
	USceneComponent* GetAttachParent() const;
	void SetupAttachment(USceneComponent* InParent, FName InSocketName = FName());
};
class UPrimitiveComponent : public USceneComponent
{
public:
	virtual int32 GetNumMaterials() const;
	virtual UMaterialInstanceDynamic* CreateAndSetMaterialInstanceDynamic(int32 ElementIndex);
};

// Doc: Engine/Sound/SoundBase.h, SoundWave.h, SoundWaveProcedural.h, SoundAttenuation.h, SoundGroups.h
#define INDEFINITELY_LOOPING_DURATION 10000.0f
enum ESoundGroup { SOUNDGROUP_Voice };
enum class EVirtualizationMode : uint8 { PlayWhenSilent };
class USoundBase : public UObject
{
public:
	float Duration;
	EVirtualizationMode VirtualizationMode;
};
class USoundAttenuation : public UObject
{
};
class USoundWave : public USoundBase
{
public:
	explicit USoundWave(const FObjectInitializer& ObjectInitializer);
	int32 NumChannels;
	ESoundGroup SoundGroup;
	uint8 bLooping : 1;
	uint8 bProcedural : 1;
	void SetSampleRate(uint32 InSampleRate);
};
class USoundWaveProcedural : public USoundWave
{
public:
	explicit USoundWaveProcedural(const FObjectInitializer& ObjectInitializer);
	virtual int32 OnGeneratePCMAudio(TArray<uint8>& OutAudio, int32 NumSamples);
	int32 SampleByteSize;

protected:
	int32 NumBufferUnderrunSamples;
	int32 NumSamplesToGeneratePerCallback;
};

// Doc: Engine/Components/AudioComponent.h
class UAudioComponent : public USceneComponent
{
public:
	TObjectPtr<USoundAttenuation> AttenuationSettings;
	uint8 bAutoDestroy : 1;
	uint8 bAutoActivate : 1;
	uint8 bAllowSpatialization : 1;
	void SetSound(USoundBase* NewSound);
	virtual void Play(float StartTime = 0.0f);
	virtual void Stop();
};

// Doc: Engine/Kismet/BlueprintAsyncActionBase.h
class UBlueprintAsyncActionBase : public UObject
{
public:
	virtual void Activate();
	virtual void RegisterWithGameInstance(const UObject* WorldContextObject);
	virtual void SetReadyToDestroy();
};

// Doc: DeveloperSettings/Engine/DeveloperSettings.h
class UDeveloperSettings : public UObject
{
public:
	virtual FName GetCategoryName() const;
};
